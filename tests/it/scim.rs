//! People and groups by SCIM, and tokens that are made by API: who goes loses everything at once.

use crate::support::gateway::ADMIN_KEY;
use crate::support::{Gateway, Given, Reply, Upstream};
use http::Method;
use serde_json::{Value, json};

const SCIM: &str = "tok-scim-0123456789abcdef";

async fn gateway(upstream: &Upstream) -> Gateway {
    let admin = format!(
        "admin:\n  key: {ADMIN_KEY}\n  roles: [{{name: directory, allow: ['people:*']}}]\n  tokens:\n    \
         - {{name: scim, key: {SCIM}, roles: [directory]}}\n    - {{name: house, key: tok-house-0123456789abcdef, roles: [admin], scope: house}}\n"
    );
    let accounts = "accounts: [{name: house, kind: organisation}, {name: team, kind: team, in: house}, {name: far, kind: organisation}]\n";
    Given::one(upstream, accounts).with(&format!("admin: {{key: {ADMIN_KEY}}}"), &admin).start().await
}

async fn call(
    gateway: &Gateway,
    token: &str,
    method: Method,
    path: &str,
    body: Value,
    headers: &[(&str, &str)],
) -> Reply {
    let request = gateway.client.request(method, gateway.url(path)).bearer_auth(token);
    let request = if body.is_null() { request } else { request.json(&body) };
    Reply::of(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await
}

async fn scim(gateway: &Gateway, method: Method, path: &str, body: Value) -> Reply {
    call(gateway, SCIM, method, &format!("/scim/v2{path}"), body, &[]).await
}

#[tokio::test]
async fn people_and_groups_come_and_go() {
    let upstream = Upstream::counting().await;
    let gateway = gateway(&upstream).await;
    let made = scim(
        &gateway,
        Method::POST,
        "/Users",
        json!({"schemas": ["x"], "userName": "Ada", "externalId": "e1", "active": true}),
    )
    .await;
    assert_eq!(
        (made.status, made.header("etag"), made.header("content-type")),
        (201, "W/\"1\"", "application/scim+json")
    );
    let ada = made.json();
    let (id, place) = (ada["id"].as_str().unwrap().to_owned(), ada["meta"]["location"].as_str().unwrap().to_owned());
    assert_eq!(place, format!("/scim/v2/Users/{id}"));
    let twin = scim(&gateway, Method::POST, "/Users", json!({"userName": "ADA"})).await;
    assert_eq!(
        (twin.status, &twin.json()["scimType"], &twin.json()["status"]),
        (409, &json!("uniqueness"), &json!("409"))
    );
    for n in 0..5 {
        assert_eq!(scim(&gateway, Method::POST, "/Users", json!({"userName": format!("bob{n}")})).await.status, 201);
    }
    let group =
        scim(&gateway, Method::POST, "/Groups", json!({"displayName": "ops", "members": [{"value": id}]})).await.json();
    let group_id = group["id"].as_str().unwrap().to_owned();
    assert_eq!(group["members"][0]["display"], "Ada");
    assert_eq!(
        scim(&gateway, Method::GET, &format!("/Users/{id}"), Value::Null).await.json()["groups"][0]["display"],
        "ops"
    );

    let found = |filter: &str| {
        let query: String = filter.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let path = format!("/Users?filter={query}");
        let gateway = &gateway;
        async move { scim(gateway, Method::GET, &path, Value::Null).await }
    };
    assert_eq!(found(r#"userName eq "ada""#).await.json()["totalResults"], 1);
    assert_eq!(found(r#"userName sw "bob" and userName co "3""#).await.json()["Resources"][0]["userName"], "bob3");
    assert_eq!(found(r#"groups.display eq "ops""#).await.json()["totalResults"], 1);
    let unclear = found("userName is ada").await;
    assert_eq!((unclear.status, &unclear.json()["scimType"]), (400, &json!("invalidFilter")));
    let page = scim(&gateway, Method::GET, "/Users?startIndex=2&count=3&attributes=userName", Value::Null).await.json();
    assert_eq!((&page["totalResults"], &page["itemsPerPage"], &page["startIndex"]), (&json!(6), &json!(3), &json!(2)));
    assert!(page["Resources"][0]["meta"].is_null() && page["Resources"][0]["id"].is_string(), "{page}");

    let path = format!("/scim/v2/Users/{id}");
    let title = json!({"Operations": [{"op": "Add", "path": "title", "value": "Countess"}]});
    let old = call(&gateway, SCIM, Method::PATCH, &path, title.clone(), &[("if-match", "W/\"7\"")]).await;
    assert_eq!(old.status, 412);
    let new = call(&gateway, SCIM, Method::PATCH, &path, title, &[("if-match", "W/\"1\"")]).await;
    assert_eq!((new.status, new.header("etag"), &new.json()["title"]), (200, "W/\"2\"", &json!("Countess")));
    assert_eq!(
        call(&gateway, SCIM, Method::GET, &path, Value::Null, &[("if-none-match", "W/\"2\"")]).await.status,
        304
    );
    let put = scim(&gateway, Method::PUT, &format!("/Users/{id}"), json!({"userName": "ada2"})).await.json();
    assert_eq!((&put["title"], &put["userName"]), (&Value::Null, &json!("ada2")));

    let gone = json!({"Operations": [{"op": "remove", "path": format!("members[value eq \"{id}\"]")}]});
    let after = scim(&gateway, Method::PATCH, &format!("/Groups/{group_id}"), gone).await.json();
    assert_eq!(after["members"], Value::Null);
    assert_eq!(scim(&gateway, Method::DELETE, &format!("/Users/{id}"), Value::Null).await.status, 204);
    let lost = scim(&gateway, Method::GET, &format!("/Users/{id}"), Value::Null).await;
    assert_eq!((lost.status, &lost.json()["schemas"][0]), (404, &json!("urn:ietf:params:scim:api:messages:2.0:Error")));
    for path in [
        "/ServiceProviderConfig",
        "/Schemas",
        "/ResourceTypes",
        "/ResourceTypes/User",
        "/Schemas/urn:ietf:params:scim:schemas:core:2.0:Group",
    ] {
        assert_eq!(scim(&gateway, Method::GET, path, Value::Null).await.status, 200, "{path}");
    }
    let nobody = Reply::of(gateway.client.get(gateway.url("/scim/v2/Users"))).await;
    assert_eq!((nobody.status, &nobody.json()["status"]), (401, &json!("401")));
}

#[tokio::test]
async fn nobody_gives_more_than_they_have() {
    let upstream = Upstream::counting().await;
    let gateway = gateway(&upstream).await;
    let make = |token: &'static str, body: Value| {
        let gateway = &gateway;
        async move { call(gateway, token, Method::POST, "/admin/tokens", body, &[]).await }
    };
    let house = "tok-house-0123456789abcdef";
    for (body, status) in [
        (json!({"name": "x", "roles": ["owner"]}), 403),
        (json!({"name": "x", "roles": ["admin"], "scope": "far"}), 403),
        (json!({"name": "x", "roles": ["king"]}), 400),
        (json!({"name": "x", "roles": []}), 400),
        (json!({"name": "", "roles": ["viewer"]}), 400),
        (json!({"name": "x", "roles": ["viewer"], "scope": "nowhere"}), 400),
        (json!({"name": "x", "roles": ["viewer"], "expires": "2020-01-01T00:00:00Z"}), 400),
        (json!({"name": "x", "roles": ["viewer"], "more": 1}), 400),
    ] {
        assert_eq!(make(house, body.clone()).await.status, status, "{body}");
    }
    let mine = make(house, json!({"name": "mine", "roles": ["viewer"]})).await;
    assert_eq!(
        (mine.status, mine.header("cache-control"), &mine.json()["scope"]),
        (201, "no-store", &json!(["house"]))
    );
    let team = make(house, json!({"name": "ci", "roles": ["admin"], "scope": "team"})).await.json();
    let text = team["token"].as_str().unwrap().to_owned();
    let owner = make(ADMIN_KEY, json!({"name": "all", "roles": ["owner"]})).await.json();
    // The team's token sees its own, not the house's.
    let seen = call(&gateway, &text, Method::GET, "/admin/tokens", Value::Null, &[]).await.json();
    let names: Vec<&str> = seen["tokens"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["ci"]);
    assert!(seen["tokens"][0]["token"].is_null() && seen["tokens"][0]["last_used"].is_string(), "{seen}");
    let path = format!("/admin/tokens/{}", owner["id"].as_str().unwrap());
    assert_eq!(call(&gateway, &text, Method::DELETE, &path, Value::Null, &[]).await.status, 404);
    assert_eq!(
        call(&gateway, owner["token"].as_str().unwrap(), Method::GET, "/admin/cache", Value::Null, &[]).await.status,
        200
    );
    assert_eq!(call(&gateway, ADMIN_KEY, Method::DELETE, &path, Value::Null, &[]).await.status, 200);
    assert_eq!(
        call(&gateway, owner["token"].as_str().unwrap(), Method::GET, "/admin/cache", Value::Null, &[]).await.status,
        401
    );
}

#[tokio::test]
async fn a_token_ends_with_the_one_that_made_it() {
    let upstream = Upstream::counting().await;
    let dir = tempfile::tempdir().unwrap();
    let yaml = |tokens: &str| {
        let admin = format!("admin:\n  key: {ADMIN_KEY}\n  tokens: [{tokens}]\n");
        Given::one(&upstream, "").with(&format!("admin: {{key: {ADMIN_KEY}}}"), &admin).dir(dir.path())
    };
    let lead = "{name: lead, key: tok-lead-0123456789abcdef, roles: [admin]}";
    let gateway = yaml(lead).start().await;
    let make = async |gateway: &Gateway, token: &str, body: Value| {
        call(gateway, token, Method::POST, "/admin/tokens", body, &[]).await
    };
    let get = async |gateway: &Gateway, token: &str| {
        call(gateway, token, Method::GET, "/admin/routes", Value::Null, &[]).await
    };
    let text = |made: &Value| made["token"].as_str().unwrap().to_owned();
    let of_lead = make(&gateway, "tok-lead-0123456789abcdef", json!({"name": "a", "roles": ["admin"]})).await.json();
    let ending = json!({"name": "b", "roles": ["admin"], "expires": "2099-01-01T00:00:00Z"});
    let b = make(&gateway, &text(&of_lead), ending).await.json();
    // No longer than the one that makes it, whatever is said; and as long, where nothing is.
    let c = make(&gateway, &text(&b), json!({"name": "c", "roles": ["viewer"]})).await.json();
    assert_eq!(c["expires"], b["expires"]);
    let later = json!({"name": "d", "roles": ["viewer"], "expires": "2099-01-02T00:00:00Z"});
    assert_eq!(make(&gateway, &text(&b), later).await.error(), (403, "forbidden".to_owned()));
    assert_eq!(get(&gateway, &text(&c)).await.status, 200);
    // What is taken away takes along what it made.
    let path = format!("/admin/tokens/{}", b["id"].as_str().unwrap());
    let gone = call(&gateway, ADMIN_KEY, Method::DELETE, &path, Value::Null, &[]).await.json();
    assert_eq!(gone["made_by_it"], json!([c["id"]]));
    assert_eq!((get(&gateway, &text(&c)).await.status, get(&gateway, &text(&of_lead)).await.status), (401, 200));
    gateway.stop().await;
    // The token of the configuration is demoted, and then it is none any more.
    let gateway = yaml(&lead.replace("[admin]", "[viewer]")).start_again().await;
    assert_eq!(get(&gateway, &text(&of_lead)).await.status, 200);
    let audit = call(&gateway, &text(&of_lead), Method::GET, "/admin/audit", Value::Null, &[]).await;
    assert_eq!(audit.error(), (403, "forbidden".to_owned()));
    gateway.stop().await;
    let gateway = yaml("").start_again().await;
    assert_eq!(get(&gateway, &text(&of_lead)).await.error(), (401, "maker_gone".to_owned()));
}

#[tokio::test]
async fn nobody_makes_themselves_mightier_by_a_group() {
    let upstream = Upstream::counting().await;
    let admin = format!(
        "admin:\n  key: {ADMIN_KEY}\n  roles: [{{name: directory, allow: ['people:*']}}]\n  tokens:\n    \
         - {{name: scim, key: {SCIM}, roles: [directory]}}\n    - {{name: desk, key: tok-desk-0123456789abcdef, roles: [directory]}}\n  \
         sso:\n    issuer: https://id.example\n    client_id: c\n    redirect_url: https://g.example/admin/auth/callback\n    \
         scim: scim\n    roles: {{lords: owner, desks: directory}}\n"
    );
    let gateway = Given::one(&upstream, "").with(&format!("admin: {{key: {ADMIN_KEY}}}"), &admin).start().await;
    let desk = async |method: Method, path: &str, body: Value| {
        call(&gateway, "tok-desk-0123456789abcdef", method, &format!("/scim/v2{path}"), body, &[]).await
    };
    let eve = desk(Method::POST, "/Users", json!({"userName": "eve"})).await.json()["id"].as_str().unwrap().to_owned();
    let ada = scim(&gateway, Method::POST, "/Users", json!({"userName": "ada", "externalId": "u1"})).await.json();
    let ada = ada["id"].as_str().unwrap().to_owned();
    let member = |id: &str| json!([{"value": id}]);
    let refused = desk(Method::POST, "/Groups", json!({"displayName": "lords", "members": member(&eve)})).await;
    assert_eq!(refused.status, 403, "{}", refused.text());
    assert!(refused.text().contains("owner"), "{}", refused.text());
    // Not by another name first, not by a group that is there, and not by being somebody who is in it.
    let group = json!({"displayName": "friends", "members": member(&eve)});
    let friends = desk(Method::POST, "/Groups", group).await.json()["id"].as_str().unwrap().to_owned();
    let rename = json!({"Operations": [{"op": "replace", "path": "displayName", "value": "lords"}]});
    assert_eq!(desk(Method::PATCH, &format!("/Groups/{friends}"), rename).await.status, 403);
    let group = json!({"displayName": "lords", "members": member(&ada)});
    let lords = scim(&gateway, Method::POST, "/Groups", group).await;
    assert_eq!(lords.status, 201, "the identity provider may: {}", lords.text());
    let lords = lords.json()["id"].as_str().unwrap().to_owned();
    let add = json!({"Operations": [{"op": "add", "path": "members", "value": member(&eve)}]});
    let take = json!({"Operations": [{"op": "remove", "path": "members"}]});
    let be = json!({"Operations": [{"op": "replace", "path": "externalId", "value": "u666"}]});
    let bar = json!({"Operations": [{"op": "replace", "path": "active", "value": false}]});
    let (of_lords, of_ada) = (format!("/Groups/{lords}"), format!("/Users/{ada}"));
    let put = json!({"displayName": "lords", "members": member(&eve)});
    for (method, path, body) in [
        (Method::PATCH, &of_lords, add.clone()),
        (Method::PATCH, &of_lords, take),
        (Method::PUT, &of_lords, put),
        (Method::DELETE, &of_lords, Value::Null),
        (Method::PATCH, &of_ada, be),
        (Method::PUT, &of_ada, json!({"userName": "eve2", "externalId": "u1"})),
        (Method::PATCH, &of_ada, bar.clone()),
        (Method::DELETE, &of_ada, Value::Null),
    ] {
        let refused = desk(method.clone(), path, body.clone()).await;
        assert_eq!(refused.status, 403, "{method} {path} {body}: {}", refused.text());
    }
    // What gives nobody anything, and what they have themselves, they may say.
    let title = json!({"Operations": [{"op": "add", "path": "title", "value": "Countess"}]});
    assert_eq!(desk(Method::PATCH, &of_ada, title).await.status, 200);
    let own = json!({"displayName": "desks", "members": member(&eve)});
    assert_eq!(desk(Method::POST, "/Groups", own).await.status, 201);
    assert_eq!(desk(Method::PATCH, &format!("/Users/{eve}"), bar).await.status, 200);
    assert_eq!(desk(Method::DELETE, &format!("/Groups/{friends}"), Value::Null).await.status, 204);
    // The owner may all of it; a token that the provider's own made may not.
    let by_owner = call(&gateway, ADMIN_KEY, Method::PATCH, &format!("/scim/v2{of_lords}"), add, &[]).await;
    assert_eq!(by_owner.status, 200, "{}", by_owner.text());
    assert_eq!(scim(&gateway, Method::DELETE, &of_lords, Value::Null).await.status, 204);
}
