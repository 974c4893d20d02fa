// squiss-ts: one instance, refilled while messages are worked on, deletes in batches.
import { Squiss } from "squiss-ts";
import { CONCURRENCY, ENDPOINT, QUEUE_URL, work } from "./work.mjs";

const squiss = new Squiss({
  awsConfig: {
    endpoint: ENDPOINT,
    region: "us-east-1",
    credentials: { accessKeyId: "x", secretAccessKey: "x" },
  },
  queueUrl: QUEUE_URL,
  correctQueueUrl: false,
  bodyFormat: "plain",
  maxInFlight: CONCURRENCY,
  receiveBatchSize: 10,
  receiveWaitTimeSecs: 10,
  deleteBatchSize: 10,
  deleteWaitMs: 200,
});
squiss.on("message", async (message) => {
  await work(message.body);
  message.del().catch((error) => console.error(String(error)));
});
squiss.on("error", (error) => console.error(String(error)));
await squiss.start();
process.once("SIGTERM", async () => {
  await squiss.stop(true, 25000).catch((error) => console.error(String(error)));
});
