// redis-quota from TypeScript with node-redis: one class, then a tour of it.
//
//     REDIS_URL=redis://host:6379 CLUSTER_URL=redis://host:7000 node limits.js
import { createClient, createCluster } from "redis";

type Word = string | number;
type Numbers = [number, number, number, number, number, number];
type Send = (words: string[], key?: string) => Promise<unknown>;

/** What every limit replies. */
export class Verdict {
  constructor(
    readonly granted: number, readonly limit: number, readonly remaining: number,
    readonly waitMs: number, readonly resetMs: number, readonly rule: number,
  ) {}

  /** Were units granted? */
  get ok(): boolean {
    return this.granted > 0;
  }

  /** The RateLimit fields for a reply of status 200, or 429 where nothing was granted. */
  headers(name = "default"): Record<string, string> {
    const fields: Record<string, string> = {};
    const never = !this.ok && this.waitMs < 0;
    const seconds = this.ok ? Math.ceil(this.resetMs / 1000) : Math.max(1, Math.ceil(this.waitMs / 1000));
    if (!this.ok && !never) fields["Retry-After"] = String(seconds);
    if (this.limit >= 0 && this.remaining >= 0) { // -1 is unlimited
      fields["RateLimit"] = `"${name}";r=${this.remaining}` + (never ? "" : `;t=${seconds}`);
    }
    return fields;
  }
}

/** The calls of a service. The connection is shared; requests that wait open one of their own. */
export class Limits {
  constructor(private readonly send: Send) {}

  private async numbers(...words: Word[]): Promise<number[]> {
    return (await this.send(words.map(String), String(words[1]))) as number[];
  }

  private async verdict(...words: Word[]): Promise<Verdict> {
    return new Verdict(...((await this.numbers(...words)) as Numbers));
  }

  allow(key: string, rule: Word[], cost = 1): Promise<Verdict> {
    return this.verdict("RL.ALLOW", key, ...rule, "COST", cost);
  }

  /** Every key admits or none is charged. In a cluster the keys have one hash tag: {acme}:user:7, {acme}:org. */
  async allowAll(keys: [key: string, ...rule: Word[]][], cost = 1): Promise<Verdict[]> {
    const rules = keys.flatMap(([, ...rule]) => ["WITH", ...rule]);
    const words = ["RL.MALLOW", keys.length, ...keys.map(([key]) => key), ...rules, "ALL", "COST", cost];
    const reply = (await this.send(words.map(String), keys[0][0])) as number[][];
    return reply.map((numbers) => new Verdict(...(numbers as Numbers)));
  }

  /** A retry with the same id gets the same verdict and is charged nothing. */
  consume(account: string, resource: string, amount: number, id: string): Promise<Verdict> {
    return this.verdict("QUOTA.CONSUME", account, resource, amount, "ID", id);
  }

  /** Gives units of a consumption back, and replies how many. */
  async refund(account: string, resource: string, amount: number, id: string): Promise<number> {
    return (await this.numbers("QUOTA.REFUND", account, resource, amount, "OF", id))[0];
  }

  reserve(account: string, job: string, resource: string, amount: number, ttl: string): Promise<Verdict> {
    return this.verdict("QUOTA.RESERVE", account, job, resource, amount, "TTL", ttl);
  }

  /** Charges what the job used, also more than was reserved. */
  async commit(account: string, job: string, amount: number): Promise<number> {
    return (await this.numbers("QUOTA.COMMIT", account, job, amount, "FORCE"))[0];
  }

  async used(account: string, resource: string): Promise<number> {
    const info = pairs(await this.send(["QUOTA.INFO", account, resource], account));
    return pairs((info.rules as unknown[])[0]).used as number;
  }
}

/** A map of either protocol as an object. */
function pairs(reply: unknown): Record<string, unknown> {
  if (!Array.isArray(reply)) return reply as Record<string, unknown>;
  return Object.fromEntries(reply.flatMap((name, at) => (at % 2 ? [] : [[name, reply[at + 1]]])));
}

/** Gives up after so long; node-redis waits for a reply as long as the connection lives. What was sent may be done. */
async function within<T>(ms: number, reply: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no reply within ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([reply, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Waits on a connection of its own; replies the fencing token, undefined where no lease came free in time. */
export async function lease(url: string, key: string, limit: number, ttlS: number, waitS: number, id: string) {
  const client = await createClient({ url }).connect();
  try {
    const words = ["RL.ACQUIRE", key, String(limit), `${ttlS}s`, "ID", id, "WAIT", `${waitS}s`];
    const reply = (await within((waitS + 1) * 1000, client.sendCommand(words))) as unknown as number[];
    return reply[0] > 0 ? reply[7] : undefined;
  } finally {
    client.destroy(); // closed, so the server forgets a request that still waits
  }
}

const clusterOf = (url: string) => createCluster({ rootNodes: [{ url }] });
type Cluster = ReturnType<typeof clusterOf>;

/** Plans are not keys: every primary of a cluster has its own copy. */
export async function setPlanEverywhere(cluster: Cluster, plan: string, resource: string, ...rules: string[]) {
  for (const primary of cluster.masters) {
    const client = await cluster.nodeClient(primary);
    await client.sendCommand(["QUOTA.PLAN", "SET", plan, resource, ...rules]);
  }
  return cluster.masters.length;
}

const url = process.env.REDIS_URL!;
const client = await createClient({ url }).connect();
const limits = new Limits((words) => within(250, client.sendCommand(words)));

const verdict = await limits.allow("user:42", [10, "1h"], 10);
console.log(`allow: granted ${verdict.granted}, ${verdict.remaining} of ${verdict.limit} left`);
const denied = await limits.allow("user:42", [10, "1h"]);
console.log("denied: 429", Object.entries(denied.headers()).map(([name, value]) => `${name}: ${value}`).join(", "));

await client.sendCommand(["QUOTA.PLAN", "SET", "pro", "tokens", "LIMIT", "100000", "month"]);
await client.sendCommand(["QUOTA.OPEN", "acme", "pro"]);
for (let attempt = 0; attempt < 2; attempt++) {
  console.log(`consume: granted ${(await limits.consume("acme", "tokens", 300, "request-1")).granted}`);
}
console.log(`refund: ${await limits.refund("acme", "tokens", 100, "request-1")}`);
await limits.reserve("acme", "job-1", "tokens", 4000, "10m");
console.log(`commit: ${await limits.commit("acme", "job-1", 5100)}`);
console.log(`used: ${await limits.used("acme", "tokens")}`);

const first = await lease(url, "printer", 1, 60, 1, "a");
const second = lease(url, "printer", 1, 60, 5, "b");
while (!(await client.info("quota")).includes("quota_waiting:1")); // the shared connection goes on meanwhile
await client.sendCommand(["RL.RELEASE", "printer", "a"]);
console.log(`lease: a token that grows: ${first! < (await second)!}`);
client.destroy();

const cluster = clusterOf(process.env.CLUSTER_URL!);
await cluster.connect();
const primaries = await setPlanEverywhere(cluster, "pro", "tokens", "LIMIT", "100000", "month");
console.log(`cluster: plan on ${primaries} primaries`);
const everywhere = new Limits((words, key) => cluster.sendCommand(key, false, words));
const accounts = Array.from({ length: 9 }, (_, number) => `customer:${number}`);
const verdicts = await Promise.all(accounts.map(async (account) => { // what is sent together is one pipeline per node
  const opened = cluster.sendCommand(account, false, ["QUOTA.OPEN", account, "pro"]);
  const verdict = everywhere.consume(account, "tokens", 1, "request-1");
  await opened;
  return verdict;
}));
console.log(`cluster: granted ${verdicts.reduce((sum, verdict) => sum + verdict.granted, 0)} in one pipeline`);
const [user, org] = await everywhere.allowAll([["{acme}:user:7", 10, "1h"], ["{acme}:org", 100, "1h"]]);
console.log(`cluster: ${user.remaining} and ${org.remaining} left`);
cluster.destroy();
