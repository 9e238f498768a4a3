// People sign in at a real identity provider, oidc-provider, and do what their groups may; and a token of that provider opens the data path.
// The browser is `fetch` with cookies. ASKONCE_BIN is the binary.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import Provider from "oidc-provider";

const SECRET = "gate-secret-0123456789abcdef";
const GROUPS = { ada: ["platform"], bob: ["guests"] };
let issuer, gateway, folder, serving, process_;

const freePort = () =>
  new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });

/** The identity provider: anybody may sign in, and groups are told by userinfo alone. */
function provider() {
  return new Provider(issuer, {
    clients: [
      {
        client_id: "gate",
        client_secret: SECRET,
        grant_types: ["authorization_code", "refresh_token", "client_credentials"],
        redirect_uris: [`${gateway}/admin/auth/callback`],
        post_logout_redirect_uris: [`${gateway}/`],
      },
    ],
    claims: { openid: ["sub"], profile: ["preferred_username"], groups: ["groups"] },
    scopes: ["openid", "offline_access", "profile", "groups"],
    findAccount: (_, id) => ({
      accountId: id,
      claims: async () => ({ sub: id, preferred_username: id, groups: GROUPS[id] ?? [] }),
    }),
    issueRefreshToken: async () => true,
    features: {
      devInteractions: { enabled: true },
      clientCredentials: { enabled: true },
      rpInitiatedLogout: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: async (ctx) => (ctx.oidc.body?.grant_type === "client_credentials" ? "urn:askonce" : undefined),
        getResourceServerInfo: async () => ({ scope: "", audience: "askonce", accessTokenTTL: 300, accessTokenFormat: "jwt" }),
      },
    },
    cookies: { keys: ["stories"] },
  });
}

before(async () => {
  const [there, here] = [await freePort(), await freePort()];
  issuer = `http://127.0.0.1:${there}`;
  gateway = `http://127.0.0.1:${here}`;
  await new Promise((resolve) => (serving = provider().listen(there, "127.0.0.1", resolve)));
  folder = await mkdtemp(join(tmpdir(), "askonce-sso-"));
  const config = join(folder, "askonce.yaml");
  await writeFile(
    config,
    `listen: 127.0.0.1:${here}
providers: [{name: demo, kind: demo}]
cache: {semantic: {enabled: false}}
accounts: [{name: team, kind: team}]
auth:
  issuers:
    - {name: idp, issuer: "${issuer}", audience: askonce, account: team}
admin:
  key: admin-0123456789abcdef
  sso:
    issuer: ${issuer}
    client_id: gate
    client_secret: ${SECRET}
    redirect_url: ${gateway}/admin/auth/callback
    scopes: [profile, groups]
    roles: {platform: editor}
`,
  );
  process_ = spawn(process.env.ASKONCE_BIN, ["serve", "--config", config, "--data-dir", folder], { stdio: "inherit" });
  for (let tries = 0; ; tries++) {
    const ready = await fetch(`${gateway}/readyz`).catch(() => undefined);
    if (ready?.ok) break;
    assert.ok(tries < 200 && process_.exitCode === null, "askonce does not start");
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
});

after(async () => {
  const ended = process_ && process_.exitCode === null && once(process_, "exit");
  process_?.kill("SIGTERM");
  serving?.close();
  serving?.closeAllConnections();
  // It writes its books until its end: the folder is not ours before.
  await ended;
  if (folder) await rm(folder, { recursive: true, force: true });
});

/** Keeps cookies for each host, and follows where it is sent. */
class Browser {
  jars = new Map();

  async send(url, options = {}) {
    const { origin } = new URL(url);
    const jar = this.jars.get(origin) ?? new Map();
    this.jars.set(origin, jar);
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join("; ");
    const reply = await fetch(url, { redirect: "manual", ...options, headers: { ...options.headers, cookie } });
    for (const set of reply.headers.getSetCookie()) {
      const [pair, ...rest] = set.split(";");
      const [name, ...value] = pair.split("=");
      const over = rest.some((one) => /^\s*(max-age=0|expires=thu, 01 jan 1970)/i.test(one));
      over || !value.join("=") ? jar.delete(name) : jar.set(name, value.join("="));
    }
    return reply;
  }

  /** Goes on until there is a page, filling in forms on the way. */
  async walk(url, who) {
    let reply = await this.send(url);
    for (let steps = 0; steps < 20; steps++) {
      if (reply.status >= 300 && reply.status < 400) {
        url = new URL(reply.headers.get("location"), url).href;
        reply = await this.send(url);
        continue;
      }
      if (!reply.headers.get("content-type")?.startsWith("text/html")) return reply;
      const page = await reply.text();
      const action = page.match(/<form[^>]*action="([^"]+)"/)?.[1];
      assert.ok(action, page);
      const fields = new URLSearchParams();
      for (const [input] of page.matchAll(/<input[^>]*>/g)) {
        const name = input.match(/name="([^"]+)"/)?.[1];
        if (name) fields.set(name, input.match(/value="([^"]*)"/)?.[1] ?? "");
      }
      if (fields.has("login")) fields.set("login", who);
      if (fields.has("password")) fields.set("password", "x");
      if (/name="logout"/.test(page)) fields.set("logout", "yes");
      url = new URL(action, url).href;
      reply = await this.send(url, { method: "POST", body: fields });
    }
    assert.fail("the way has no end");
  }
}

/** A change, as a page of the gateway's own sends it. */
const change = (browser, path) =>
  browser.send(`${gateway}${path}`, { method: "POST", headers: { "x-askonce-csrf": "1" }, body: "{}" });

test("a person signs in, does what the group may, and is out when it is gone", async () => {
  const browser = new Browser();
  const session = await (await browser.walk(`${gateway}/admin/auth/login`, "ada")).json();
  assert.equal(session.name, "user `ada`");
  assert.deepEqual(session.roles, ["editor"]);
  assert.equal((await browser.send(`${gateway}/admin/cache`)).status, 200);
  assert.equal((await browser.send(`${gateway}/scim/v2/Users`)).status, 403);
  assert.equal((await change(browser, "/admin/auth/refresh")).status, 200);
  GROUPS.ada = [];
  assert.equal((await change(browser, "/admin/auth/refresh")).status, 401, "the group is gone, and the session with it");
  assert.equal((await browser.send(`${gateway}/admin/cache`)).status, 401);
  GROUPS.ada = ["platform"];
});

test("a person signs out, here and at the provider", async () => {
  const browser = new Browser();
  assert.equal((await browser.walk(`${gateway}/admin/auth/login`, "ada")).status, 200);
  const out = await (await change(browser, "/admin/auth/logout")).json();
  assert.equal((await browser.send(`${gateway}/admin/auth/session`)).status, 401);
  const end = new URL(out.provider_logout_url);
  assert.equal(end.origin, issuer);
  const page = await browser.send(end.href);
  assert.equal(page.status, 200, await page.text());
});

test("who is in no group with a role does not get in", async () => {
  const refused = await new Browser().walk(`${gateway}/admin/auth/login`, "bob");
  assert.equal(refused.status, 403);
  assert.equal((await refused.json()).error.code, "no_role");
});

test("an access token of the provider opens the data path", async () => {
  const given = await fetch(`${issuer}/token`, {
    method: "POST",
    headers: { authorization: `Basic ${btoa(`gate:${SECRET}`)}` },
    body: new URLSearchParams({ grant_type: "client_credentials", resource: "urn:askonce" }),
  });
  const { access_token: token } = await given.json();
  const ask = (bearer) =>
    fetch(`${gateway}/v1/chat/completions`, {
      method: "POST",
      headers: { authorization: `Bearer ${bearer}`, "content-type": "application/json" },
      body: JSON.stringify({ model: "demo", messages: [{ role: "user", content: "What is the capital of France?" }] }),
    });
  const answer = await ask(token);
  assert.equal(answer.status, 200, await answer.clone().text());
  const [head, claims, signature] = token.split(".");
  const other = Buffer.from(JSON.stringify({ ...JSON.parse(Buffer.from(claims, "base64url")), sub: "root" })).toString("base64url");
  assert.equal((await ask(`${head}.${other}.${signature}`)).status, 401);
  assert.equal((await ask("nothing")).status, 401);
});
