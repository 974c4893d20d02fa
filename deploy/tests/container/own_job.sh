# An image with a job of one's own, as worker/jobs/README.md says. Sourced by run.

own_image=localhost/worker-with-own-job:test
own_stages=(genesys-event-worker:builder genesys-event-worker:runtime) # as the README names them
own_worker="worker-test-own-$$"

own_job_builds() {
  local own="$scratch/own" stage
  rm -rf "$own" && mkdir "$own"
  (cd "$own" && "$root/.venv/bin/worker" new-job presence) || return 1
  # A service that no job of the box calls: its model is there for this job, or not at all.
  sed -i 's/aws_services=\["kinesis"\]/aws_services=["kinesis", "sns"]/' "$own/presence/src/presence/__init__.py"
  sed -n '/^```dockerfile$/,/^```$/p' "$root/worker/jobs/README.md" | sed '1d;$d' >"$own/Dockerfile"
  for stage in "${own_stages[@]}"; do
    docker build --network host -t "$stage" --target "${stage#*:}" "$root" || return 1
  done
  docker build --network host -t "$own_image" "$own"
}

has_model() { # has_model IMAGE SERVICE
  docker run --rm "${confined[@]}" --network none --entrypoint python "$1" -c \
    "import botocore.session as s, sys; sys.exit('$2' not in s.get_session().get_available_services())"
}
own_models_are_kept() {
  has_model "$own_image" sns && has_model "$own_image" kinesis && ! has_model "$image" sns
}

in_aws() { # in_aws PROGRAM ARGUMENT…: Python beside the emulated AWS
  local environment
  environment="$(grep '^AWS_' "$scratch/worker.env" | sed 's/^AWS_REGION=\(.*\)/&\nAWS_DEFAULT_REGION=\1/')" # boto3 knows the longer name only
  docker exec "$emulators" env $environment python -c "$@"
}

own_job_starts() { # beside the worker in the emulators' network, with a queue of its own
  in_aws '
import boto3
boto3.client("sqs").create_queue(QueueName="presence")
boto3.client("kinesis").create_stream(StreamName="presence", ShardCount=1)' || return 1
  {
    grep -E '^(AWS_|SQS_DEAD|SQS_WAIT)' "$scratch/worker.env"
    printf '%s\n' HANDLERS=presence PRESENCE_STREAM=presence OPS_PORT=9465 \
      "SQS_QUEUE_URL=$(sed -nE 's|^AWS_ENDPOINT_URL_SQS=(.*)|\1/000000000000/presence|p' "$scratch/worker.env")"
  } >"$scratch/own.env"
  docker run -d --name "$own_worker" "${confined[@]}" --network "container:$emulators" \
    --env-file "$scratch/own.env" "$own_image" || return 1
  until_true 60 docker exec "$own_worker" worker health
}

own_job_works() { # two events, and a copy of one
  local number
  for number in 1 2 1; do
    printf '{"id": "%s", "detail-type": "v2.users.{id}.presence", "source": "aws.partner/genesys.com/cloud/o/s", "time": "2026-03-02T12:00:00Z", "detail": {"topicName": "v2.users.%s.presence", "eventBody": {"id": "%s"}}}\n' \
      "00000000-0000-4000-8000-00000000000$number" "$number" "$number"
  done | docker exec -i "$own_worker" worker send - || return 1
  until_true 60 own_job_put 2
}
own_job_put() { # own_job_put NUMBER: of records in the stream, with nothing left on the queue
  in_aws '
import boto3, sys
kinesis, sqs = boto3.client("kinesis"), boto3.client("sqs")
shard = kinesis.list_shards(StreamName="presence")["Shards"][0]["ShardId"]
start = kinesis.get_shard_iterator(StreamName="presence", ShardId=shard, ShardIteratorType="TRIM_HORIZON")
records = kinesis.get_records(ShardIterator=start["ShardIterator"])["Records"]
names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
queue = sqs.get_queue_url(QueueName="presence")["QueueUrl"]
left = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
print(records, left)
sys.exit(len(records) != int(sys.argv[1]) or any(map(int, left.values())))' "$1"
}

own_job_ended() {
  docker rm -f "$own_worker" >/dev/null 2>&1 || true
  [ "$engine_is" = ours ] || docker rmi -f "$own_image" "${own_stages[@]}" >/dev/null 2>&1 || true
}
