// The real server for the browser tests: `doorward serve` with a data directory of its own, stopped and removed after.
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { request } from "node:http";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** Builds the program, unless DOORWARD_BIN names one; returns its path. */
export function build() {
  if (process.env.DOORWARD_BIN) return process.env.DOORWARD_BIN;
  execFileSync("cargo", ["build", "--quiet", "--locked", "--bin", "doorward"], { cwd: root, stdio: "inherit" });
  return join(process.env.CARGO_TARGET_DIR ?? join(root, "target"), "debug", "doorward");
}

/** Returns a port of this machine that nobody has. */
export async function freePort() {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

/** Returns the library that shows a program another time; nothing if it is not installed. */
export function findAnotherTime() {
  const folders = readdirSync("/usr/lib").map((name) => join("/usr/lib", name, "faketime/libfaketime.so.1"));
  return folders.find((path) => existsSync(path));
}

/** Sends a form as a program does, which finds the server by its name; returns status and answer. */
async function post(server, path, form) {
  const headers = { host: new URL(server.origin).host, "content-type": "application/x-www-form-urlencoded" };
  const asked = request({ host: "127.0.0.1", port: server.port, path, method: "POST", headers, agent: false });
  asked.end(new URLSearchParams(form).toString());
  const [answer] = await once(asked, "response");
  let text = "";
  for await (const chunk of answer.setEncoding("utf8")) text += chunk;
  return { status: answer.statusCode, json: JSON.parse(text) };
}

/**
 * Starts a server that nobody owns yet, or that belongs to `owner` (username, name, password) with an authenticator app.
 * Returns its origin, the link it printed, what it wrote so far, and the owner's secrets; `restart` ends it and starts
 * it again on the same data, `stop` ends it for good; `command` runs the program on the same data and returns what it
 * prints, `pause` ends it and keeps the data, which are in `directory`. `post` sends a form as a program does. `host` is
 * the name it is opened by. `pass` ends it and starts it so many seconds later, by its own clock.
 */
export async function start(program, { host = "localhost", settings = {}, owner } = {}) {
  const directory = await mkdtemp(join(tmpdir(), "doorward-e2e-"));
  const port = await freePort();
  const server = { origin: `http://${host}:${port}`, port, directory, link: "", log: "", owner: null, ahead: 0 };
  // Browsers keep every core busy, so nobody waits for an idle one to hash a password.
  const all = { "password.idle_priority": false, ...settings };
  const flags = Object.entries(all).flatMap(([key, value]) => ["--set", `${key}=${value}`]);
  // Nothing of the surroundings may change the settings.
  const env = { PATH: process.env.PATH, DOORWARD_DATA_DIRECTORY: directory };
  if (owner) {
    const who = ["--owner", owner.username, "--name", owner.name, "--password-stdin", "--totp", "--json", "--origin", server.origin];
    const made = execFileSync(program, [...flags, "setup", "--non-interactive", ...who], { cwd: directory, env, input: `${owner.password}\n`, stdio: ["pipe", "pipe", "inherit"] });
    server.owner = JSON.parse(made);
  }
  let child;
  const run = async () => {
    child = spawn(program, [...flags, "serve", "--listen", `127.0.0.1:${port}`, "--metrics", "off"], { cwd: directory, env, stdio: ["ignore", "ignore", "pipe"] });
    const begun = server.log.length;
    child.stderr.setEncoding("utf8").on("data", (text) => (server.log += text));
    const deadline = Date.now() + 30_000;
    const said = () => server.log.slice(begun);
    while (!/\/setup#\S+\s|is ready at/.test(said())) {
      if (child.exitCode !== null || Date.now() > deadline) throw new Error(`the server did not start:\n${server.log}`);
      await new Promise((done) => setTimeout(done, 20));
    }
    server.link = /http:\/\/localhost:\d+\/setup#\S+/.exec(said())?.[0] ?? "";
  };
  const end = async () => {
    if (child.exitCode !== null) return;
    child.kill("SIGTERM");
    await once(child, "exit");
  };
  server.restart = async () => {
    await end();
    await run();
  };
  server.pass = async (seconds) => {
    server.ahead += seconds;
    Object.assign(env, { LD_PRELOAD: findAnotherTime(), FAKETIME: `+${server.ahead}`, FAKETIME_DONT_FAKE_MONOTONIC: "1" });
    await server.restart();
  };
  server.pause = end;
  server.stop = async () => {
    await end();
    await rm(directory, { recursive: true, force: true });
  };
  server.post = (path, form) => post(server, path, form);
  server.command = (words, input) => execFileSync(program, words, { cwd: directory, env, input, stdio: ["pipe", "pipe", "inherit"] }).toString();
  await run();
  return server;
}
