// What every Node contestant does with a message; the same as work.py.
import { openSync, writeSync } from "node:fs";

const env = process.env;
export const ENDPOINT = env.BENCH_ENDPOINT;
export const QUEUE_URL = env.BENCH_QUEUE_URL;
export const CONCURRENCY = Number(env.BENCH_CONCURRENCY ?? 64);
const MILLISECONDS = Number(env.BENCH_SECONDS ?? 0) * 1000;
const SLOW_MILLISECONDS = Number(env.BENCH_SLOW_SECONDS ?? 0) * 1000;
const NOTES = env.BENCH_NOTES ? openSync(env.BENCH_NOTES, "a") : null;
const NO_OP = !(MILLISECONDS || SLOW_MILLISECONDS || NOTES);
const NUMBER = /-4000-8000-(\d{12})/;

function note(what, number) {
  if (NOTES !== null) writeSync(NOTES, `${what} ${number}\n`);
}

export async function work(text) {
  if (NO_OP) return;
  const number = Number(NUMBER.exec(text)?.[1] ?? -1);
  note("begin", number);
  const slow = number === 0 && SLOW_MILLISECONDS;
  await new Promise((resolve) => setTimeout(resolve, slow || MILLISECONDS));
  note("end", number);
}
