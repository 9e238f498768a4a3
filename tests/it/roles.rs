//! Who may do what at the admin door: every route by every role, scopes, and the record of it.

use crate::support::gateway::{ADMIN_KEY, client};
use crate::support::{Gateway, Given, Reply, Upstream};
use askonce::admin::table;
use askonce::edge::officer::{Guard, Reach};
use askonce::types::permission::{self, Action, BUILT_IN_ROLES, Permissions, Resource};
use http::Method;
use serde_json::{Value, json};

/// A token for each role that is built in, one of a role of its own, and one that reaches one account only.
fn tokens() -> String {
    let built_in = BUILT_IN_ROLES
        .iter()
        .map(|role| format!("    - {{name: {role}, key: tok-{role}-0123456789abcdef, roles: [{role}]}}\n"));
    format!(
        "  roles: [{{name: purger, allow: ['cache:delete', 'usage:*']}}]\n  tokens:\n{}\
         \x20   - {{name: own, key: tok-own-0123456789abcdef, roles: [purger]}}\n\
         \x20   - {{name: scoped, key: tok-scoped-0123456789abcdef, roles: [owner], scope: team}}\n\
         \x20   - {{name: late, key: tok-late-0123456789abcdef, roles: [owner], expires: '2020-01-01T00:00:00Z'}}\n",
        built_in.collect::<String>()
    )
}

async fn gateway(upstream: &Upstream) -> Gateway {
    let accounts = "accounts: [{name: house, kind: organisation}, {name: team, kind: team, in: house}]\n";
    let admin = format!("admin:\n  key: {ADMIN_KEY}\n{}", tokens());
    Given::one(upstream, accounts).with(&format!("admin: {{key: {ADMIN_KEY}}}"), &admin).start().await
}

fn request(gateway: &Gateway, method: &Method, path: &str, token: Option<&str>) -> reqwest::RequestBuilder {
    let path = path.replace("{id}", "0000000000000001");
    let request = gateway.client.request(method.clone(), gateway.url(&path)).json(&json!({"nothing": "of use"}));
    match token {
        Some(token) => request.bearer_auth(format!("tok-{token}-0123456789abcdef")),
        None => request,
    }
}

/// The code of a refusal, wherever the surface puts it.
fn told(reply: &Reply) -> String {
    String::from_utf8_lossy(&reply.body).into_owned()
}

/// What the role of that token allows, told apart from what the gateway does: by what it says of itself.
async fn allowed(gateway: &Gateway, token: &str) -> Permissions {
    let said = Reply::of(request(gateway, &Method::GET, "/admin/self", Some(token))).await.json();
    let names = said["allow"].as_array().unwrap().iter().map(|one| Permissions::named(one.as_str().unwrap()).unwrap());
    names.fold(Permissions::NONE, Permissions::and)
}

#[tokio::test]
async fn every_route_by_every_role() {
    let upstream = Upstream::counting().await;
    let gateway = gateway(&upstream).await;
    for token in BUILT_IN_ROLES.into_iter().chain(["own"]) {
        let permissions = allowed(&gateway, token).await;
        for route in table() {
            let reply = Reply::of(request(&gateway, &route.method, route.path, Some(token))).await;
            let what = format!("{token}: {} {} gave {} {}", route.method, route.path, reply.status, told(&reply));
            match route.guard {
                Guard::Permission(resource, action, _) if !permissions.allow(resource, action) => {
                    assert_eq!(reply.status, 403, "{what}");
                    assert!(told(&reply).contains(&permission::name(resource, action)), "{what}");
                }
                Guard::Permission(..) | Guard::Somebody => assert!(![401, 403].contains(&reply.status), "{what}"),
                Guard::Open => {}
            }
        }
    }
    // The table is the one in the documentation.
    assert!(allowed(&gateway, "viewer").await.are_within(allowed(&gateway, "auditor").await));
    assert!(!allowed(&gateway, "viewer").await.allow(Resource::Cache, Action::Read));
}

#[tokio::test]
async fn nobody_gets_nothing() {
    let upstream = Upstream::counting().await;
    let gateway = gateway(&upstream).await;
    for route in table().into_iter().filter(|route| route.guard != Guard::Open) {
        for token in [None, Some("nobody"), Some("late")] {
            let reply = Reply::of(request(&gateway, &route.method, route.path, token)).await;
            assert_eq!(reply.status, 401, "{token:?}: {} {} {}", route.method, route.path, told(&reply));
        }
    }
    let open: Vec<&str> = table().iter().filter(|route| route.guard == Guard::Open).map(|route| route.path).collect();
    let known = ["/admin/auth/login", "/admin/auth/callback"];
    assert!(open.iter().all(|path| known.contains(path)), "a route is open that need not be: {open:?}");
}

#[tokio::test]
async fn who_reaches_one_account_gets_nothing_that_is_of_all() {
    let upstream = Upstream::counting().await;
    let gateway = gateway(&upstream).await;
    for route in table() {
        let Guard::Permission(_, _, reach) = route.guard else { continue };
        let reply = Reply::of(request(&gateway, &route.method, route.path, Some("scoped"))).await;
        let what = format!("{} {} gave {} {}", route.method, route.path, reply.status, told(&reply));
        match reach {
            Reach::Whole => assert_eq!(reply.status, 403, "{what}"),
            Reach::Accounts => assert_ne!(reply.status, 401, "{what}"),
        }
    }
    let said = Reply::of(request(&gateway, &Method::GET, "/admin/self", Some("scoped"))).await.json();
    assert_eq!(
        (&said["name"], &said["scope"], &said["roles"]),
        (&json!("token `scoped`"), &json!(["team"]), &json!(["owner"]))
    );
}

/// The router is built from the table alone, so a route that is not in it is not served; and no file beside it makes a route.
#[test]
fn there_is_no_other_way_in() {
    let mut made = Vec::new();
    let mut folders = vec![std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src/admin"))];
    while let Some(folder) = folders.pop() {
        for item in std::fs::read_dir(folder).unwrap() {
            let path = item.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            made.extend(
                text.lines().filter(|line| line.contains(".route(") || line.contains(".nest(")).map(str::to_owned),
            );
        }
    }
    assert_eq!(made.len(), 1, "{made:?}");
    assert!(made[0].contains("handler.route_layer(from_fn_with_state(before, gate))"), "{made:?}");
    let routes = table();
    for (at, one) in routes.iter().enumerate() {
        let twin = routes[..at].iter().find(|other| other.path == one.path && other.method == one.method);
        assert!(twin.is_none(), "{} {} is there twice", one.method, one.path);
    }
}

#[tokio::test]
async fn the_admin_surface_may_listen_on_its_own() {
    let upstream = Upstream::counting().await;
    askonce::install_tls();
    let given = Given::one(&upstream, "");
    let (settings, _own) = given.settings();
    let listeners = askonce::app::Listeners::bind("127.0.0.1:0", Some("127.0.0.1:00")).await.unwrap();
    let at = |listener: &tokio::net::TcpListener| format!("http://{}", listener.local_addr().unwrap());
    let (all, admin) = (at(&listeners.all), at(listeners.admin.as_ref().unwrap()));
    let app = std::sync::Arc::new(given.app(&settings).await.unwrap());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let grace = settings.limits.shutdown_timeout;
    let served = tokio::spawn(async move {
        let stopped = async { drop(stopped.await) };
        askonce::app::run(&app, listeners, settings.limits.header_timeout, stopped, || grace).await
    });
    let client = client();
    let get = |url: String| Reply::of(client.get(url).bearer_auth(ADMIN_KEY));
    assert_eq!(get(format!("{admin}/admin/cache")).await.status, 200);
    assert_eq!(get(format!("{all}/admin/cache")).await.error().1, "unknown_url");
    assert_eq!(get(format!("{admin}/v1/models")).await.status, 404);
    assert_eq!((get(format!("{all}/healthz")).await.status, get(format!("{admin}/readyz")).await.status), (200, 200));
    assert_eq!(get(format!("{all}/v1/models")).await.status, 200);
    stop.send(()).unwrap();
    served.await.unwrap();
}

#[tokio::test]
async fn roles_are_told() {
    let upstream = Upstream::counting().await;
    let gateway = gateway(&upstream).await;
    let roles = Reply::of(request(&gateway, &Method::GET, "/admin/roles", Some("viewer"))).await.json();
    let named = |name: &str| {
        let all = roles["roles"].as_array().unwrap().clone();
        all.into_iter().find(|role| role["name"] == name).unwrap_or(Value::Null)
    };
    assert_eq!(
        named("purger")["allow"],
        json!(["cache:delete", "usage:read", "usage:create", "usage:update", "usage:delete"])
    );
    assert_eq!((&named("purger")["built_in"], &named("owner")["built_in"]), (&json!(false), &json!(true)));
}
