// Calls the fixture's actor with RivetKit's own client, by HTTP and over a
// connection, in every encoding. Usage: node client.mjs GATEWAY NAMESPACE POOL
import assert from "node:assert/strict";
import { createClient } from "rivetkit/client";

const [endpoint, namespace, poolName] = process.argv.slice(2);

const repeated = (actor) => (e) => {
	assert.equal(`${e.group}.${e.code}`, "user.operation_repeated");
	assert.deepEqual(e.metadata, { op: "op-1" });
	assert.equal(e.actor.actorId, actor);
	assert.equal(e.actor.generation, 1);
	return true;
};
const code = (want) => (e) => `${e.group}.${e.code}` === want;

async function byHTTP(handle, key) {
	const first = await handle.tick(16, "op-1");
	assert.equal(first.count, 1);
	const second = await handle.tick();
	assert.equal(second.count, 2);
	assert.equal((await handle.commitDuringEngineRestart(8192, "op-2")).count, 3);
	assert.equal(await handle.getCount(), 3);
	const who = await handle.whoami();
	assert.equal(who.key, key);
	assert.equal(who.generation, 1);
	assert.deepEqual(
		(await handle.ledger()).map((e) => [e.op, e.count, e.bytes, e.generation, typeof e.at]),
		[["op-1", 1, 16, 1, "number"], [second.op, 2, 4096, 1, "number"], ["op-2", 3, 8192, 1, "number"]],
	);
	await assert.rejects(handle.tick(16, "op-1"), repeated(who.actor));
	await assert.rejects(handle.nothing(), code("actor.action_not_found"));
	await assert.rejects(handle.tick("many"), code("actor.invalid_request"));
	return who;
}

async function byConnection(handle, who) {
	const conn = handle.connect({ with: "parameters" });
	conn.on("an-event", () => {});
	const counts = await Promise.all(Array.from({ length: 20 }, (_, i) => conn.tick(1, `many-${i}`)));
	assert.deepEqual(counts.map((c) => c.count).sort((a, b) => a - b), Array.from({ length: 20 }, (_, i) => i + 4));
	await assert.rejects(conn.tick(16, "op-1"), repeated(who.actor));
	await assert.rejects(conn.nothing(), code("actor.action_not_found"));
	assert.equal((await conn.ledger()).length, 23);
	await conn.dispose();
}

async function raw(handle, who) {
	const res = await handle.fetch("health");
	assert.equal(res.headers.get("x-killpoint-generation"), "1");
	assert.deepEqual(await res.json(), { ok: true, ...who });
	const ws = await handle.webSocket();
	const heard = [];
	const all = new Promise((resolve, reject) => {
		ws.addEventListener("message", (e) => heard.push(e.data) === 3 && resolve());
		ws.addEventListener("close", reject);
	});
	await new Promise((resolve) => (ws.readyState === 1 ? resolve() : ws.addEventListener("open", resolve)));
	ws.send('{"type":"ping","sentAt":5}');
	ws.send("hello");
	ws.send(new Uint8Array([0, 1, 255]));
	await all;
	assert.deepEqual(JSON.parse(heard[0]), { type: "pong", ...who, sentAt: 5 });
	assert.equal(heard[1], "hello");
	assert.deepEqual([...new Uint8Array(heard[2])], [0, 1, 255]);
	ws.close();
}

for (const encoding of ["json", "cbor", "bare"]) {
	const client = createClient({ endpoint, namespace, poolName, token: "dev", encoding, disableMetadataLookup: true });
	const key = `rivetkit-${encoding}`;
	const handle = client.counter.getOrCreate([key]);
	const who = await byHTTP(handle, key);
	await byConnection(handle, who);
	await raw(handle, who);
	await client.dispose();
	console.log(`${encoding}: ok`);
}
process.exit(0);
