// Debian's nginx for browser tests: with a certificate of its own, and the files that Doorward shows people to paste.
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "./server.mjs";

const PATHS = ["/usr/sbin/nginx", "/usr/bin/nginx", "/usr/local/sbin/nginx"];

/** Returns where nginx is; nothing if it is not installed. */
export function findNginx() {
  return process.env.NGINX ?? PATHS.find((path) => existsSync(path));
}

/** An app that says what it was told. */
export async function startApp() {
  const server = createServer((request, response) => {
    response.writeHead(200, { "content-type": "text/html; charset=utf-8" });
    const user = request.headers["remote-user"] ?? "nobody";
    response.end(`<!doctype html><html lang="en"><title>Photos</title><main><h1>Photos of ${user}</h1></main></html>`);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { port: server.address().port, stop: () => server.close() };
}

/** nginx with HTTPS on a port of its own. `serve` takes files as [name, text] and loads them. */
export async function startNginx(program, domain) {
  const place = await mkdtemp(join(tmpdir(), "doorward-nginx-"));
  const port = await freePort();
  for (const name of ["snippets", "sites", "temp"]) await mkdir(join(place, name));
  const [key, certificate] = [join(place, "site.key"), join(place, "site.pem")];
  const names = `subjectAltName=DNS:${domain},DNS:*.${domain}`;
  execFileSync("openssl", ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "60", "-subj", `/CN=${domain}`, "-addext", names, "-keyout", key, "-out", certificate], { stdio: "pipe" });
  const temp = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((kind) => `${kind}_temp_path ${place}/temp/${kind};`).join("\n");
  await writeFile(join(place, "nginx.conf"), `daemon off;
worker_processes 1;
pid ${place}/nginx.pid;
error_log ${place}/error.log warn;
events {}
http {
access_log off;
server_names_hash_bucket_size 128;
${temp}
server { listen 127.0.0.1:${port} ssl default_server; server_name _; ssl_certificate ${certificate}; ssl_certificate_key ${key}; return 444; }
include ${place}/sites/*.conf;
}
`);
  let child;
  const stop = async () => {
    if (!child || child.exitCode !== null) return;
    child.kill("SIGQUIT");
    await once(child, "exit");
  };
  return {
    port,
    certificate,
    async serve(files, app) {
      for (const [name, text] of files) {
        const isSite = /^\s*server\s*\{/m.test(text);
        const own = text
          .replaceAll("listen 443 ssl;", `listen 127.0.0.1:${port} ssl;`)
          .replaceAll(/# ssl_certificate_key .*/g, `ssl_certificate_key ${key};`)
          .replaceAll(/# ssl_certificate .*/g, `ssl_certificate ${certificate};`)
          .replaceAll("http://127.0.0.1:3000", `http://127.0.0.1:${app}`);
        await writeFile(join(place, isSite ? "sites" : "snippets", name), own);
      }
      await stop();
      child = spawn(program, ["-p", place, "-c", join(place, "nginx.conf")], { stdio: ["ignore", "ignore", "inherit"] });
      for (let tries = 0; ; tries += 1) {
        const open = await new Promise((done) => {
          const socket = connect(port, "127.0.0.1", () => done(socket.end() && true));
          socket.on("error", () => done(false));
        });
        if (open) return;
        if (tries > 200 || child.exitCode !== null) throw new Error("nginx does not start");
        await new Promise((done) => setTimeout(done, 50));
      }
    },
    async stop() {
      await stop();
      await rm(place, { recursive: true, force: true });
    },
  };
}
