// sqs-consumer: as many instances as fill the concurrency, as its documentation advises, each with
// its batch handler, so that ten messages are deleted in one call.
import { SQSClient } from "@aws-sdk/client-sqs";
import { Consumer } from "sqs-consumer";
import { CONCURRENCY, ENDPOINT, QUEUE_URL, work } from "./work.mjs";

const sqs = new SQSClient({ endpoint: ENDPOINT, region: "us-east-1" });
const consumers = Array.from({ length: Math.ceil(CONCURRENCY / 10) }, () =>
  Consumer.create({
    queueUrl: QUEUE_URL,
    sqs,
    batchSize: 10,
    waitTimeSeconds: 10,
    pollingCompleteWaitTimeMs: 25000,
    handleMessageBatch: async (messages) => {
      await Promise.all(messages.map((message) => work(message.Body)));
      return messages;
    },
  }),
);
for (const consumer of consumers) {
  consumer.on("error", (error) => console.error(String(error)));
  consumer.on("processing_error", (error) => console.error(String(error)));
  consumer.start();
}
process.once("SIGTERM", () => consumers.forEach((consumer) => consumer.stop()));
