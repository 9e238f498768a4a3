//! What is said of people, which are asked for, and what becomes of changes.

use super::filter::Filter;
use super::*;
use proptest::prelude::*;
use serde_json::json;

fn user(said: Value) -> Map<String, Value> {
    resource::read(Kind::User, said).unwrap()
}

#[test]
fn filters_find_what_they_name() {
    let ada = json!({
        "id": "1", "userName": "Ada", "active": true, "externalId": "X1",
        "name": {"familyName": "Lovelace"},
        "emails": [{"value": "ada@home.example", "type": "home"}, {"value": "ada@work.example", "type": "work", "primary": true}],
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"department": "Engines"},
    });
    let fitting = [
        r#"userName eq "ada""#,
        r#"USERNAME EQ "ADA""#,
        r#"userName sw "a" and userName co "d""#,
        r#"userName ew "x" or active eq true"#,
        r#"active eq "True""#,
        r#"externalId eq "X1""#,
        r#"name.familyName co "LACE""#,
        r#"emails.value eq "ada@work.example""#,
        r#"emails eq "ada@work.example""#,
        r#"emails[type eq "work" and value co "@work"]"#,
        r#"not (emails[type eq "work" and value co "@home"])"#,
        r#"title pr or userName pr"#,
        r#"(userName eq "bob" or userName eq "ada") and active eq true"#,
        r#"userName ne "bob""#,
        r#"urn:ietf:params:scim:schemas:core:2.0:User:userName eq "ada""#,
        r#"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department eq "engines""#,
        r#"userName eq "\u0061da""#,
    ];
    for text in fitting {
        assert!(Filter::read(text).unwrap().fits(&ada), "{text}");
    }
    let others = [
        r#"externalId eq "x1""#,
        r#"userName eq "ad""#,
        r#"active eq false"#,
        r#"title pr"#,
        r#"emails[type eq "home" and primary eq true]"#,
        r#"userName ne "ADA""#,
        r#"nothing eq "x""#,
    ];
    for text in others {
        assert!(!Filter::read(text).unwrap().fits(&ada), "{text}");
    }
    let deep = format!("{}a pr{}", "(".repeat(40), ")".repeat(40));
    let long = format!("a eq \"{}\"", "x".repeat(5000));
    for text in [
        "",
        "userName",
        "userName eq",
        "userName eq ada",
        "eq \"a\" x",
        "a eq {}",
        "(a pr",
        "a[b pr",
        "a pr)",
        &deep,
        &long,
    ] {
        assert_eq!(Filter::read(text).unwrap_err().code, Some("invalidFilter"), "{text}");
    }
}

#[test]
fn what_is_said_is_checked() {
    let ada = user(json!({
        "schemas": ["x"], "id": "mine", "USERNAME": "ada", "Active": "False", "password": "secret", "groups": [], "title": null,
    }));
    assert_eq!(Value::Object(ada), json!({"userName": "ada", "active": false}));
    let group = resource::read(
        Kind::Group,
        json!({"displayName": "g", "members": [{"value": "a", "display": "A"}, {"value": "a"}]}),
    );
    assert_eq!(group.unwrap()["members"], json!([{"value": "a"}]));
    for wrong in [
        json!([]),
        json!({}),
        json!({"userName": ""}),
        json!({"userName": 7}),
        json!({"userName": "a\nb"}),
        json!({"userName": "x".repeat(257)}),
        json!({"userName": "a", "active": "maybe"}),
        json!({"userName": "a", "title": "x".repeat(70_000)}),
    ] {
        assert_eq!(resource::read(Kind::User, wrong.clone()).unwrap_err().code, Some("invalidValue"), "{wrong}");
    }
    assert!(resource::read(Kind::Group, json!({"displayName": "g", "members": ["a"]})).is_err());
    assert_eq!(resource::time(1_700_000_000_123), "2023-11-14T22:13:20.123Z");
}

#[test]
fn parts_are_changed_as_providers_ask() {
    let before = json!({
        "userName": "ada", "active": true, "name": {"givenName": "Ada"},
        "emails": [{"value": "h", "type": "home"}, {"value": "w", "type": "work"}],
    });
    let table = [
        (json!([{"op": "Replace", "path": "active", "value": "False"}]), "/active", json!(false)),
        (
            json!([{"op": "replace", "value": {"active": false, "name.familyName": "L", "id": "x"}}]),
            "/name",
            json!({"givenName": "Ada", "familyName": "L"}),
        ),
        (json!([{"op": "add", "path": "name.familyName", "value": "L"}]), "/name/familyName", json!("L")),
        (
            json!([{"op": "replace", "path": "emails[type eq \"work\"].value", "value": "v"}]),
            "/emails/1/value",
            json!("v"),
        ),
        (
            json!([{"op": "remove", "path": "emails[type eq \"home\"]"}]),
            "/emails",
            json!([{"value": "w", "type": "work"}]),
        ),
        (
            json!([{"op": "add", "path": "emails", "value": [{"value": "x"}, {"value": "h", "type": "home"}]}]),
            "/emails/2",
            json!({"value": "x"}),
        ),
        (
            json!([{"op": "add", "path": "phoneNumbers[type eq \"work\"].value", "value": "1"}]),
            "/phoneNumbers",
            json!([{"type": "work", "value": "1"}]),
        ),
        (json!([{"op": "remove", "path": "emails"}]), "/emails", Value::Null),
        (json!([{"op": "remove", "path": "name.givenName"}]), "/name", json!({})),
        (
            json!([{"op": "add", "path": "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department", "value": "E"}]),
            "/urn:ietf:params:scim:schemas:extension:enterprise:2.0:User/department",
            json!("E"),
        ),
    ];
    for (operations, at, expected) in table {
        let patch = serde_json::from_value(json!({"Operations": operations})).unwrap();
        let after = Value::Object(patch::apply(Kind::User, &user(before.clone()), patch).unwrap());
        assert_eq!(after.pointer(at).cloned().unwrap_or_default(), expected, "{operations}");
    }
    let refused = [
        (json!([{"op": "fly", "path": "title"}]), "invalidSyntax"),
        (json!([{"op": "remove"}]), "noTarget"),
        (json!([{"op": "replace", "path": "emails[type eq \"fax\"]", "value": {}}]), "noTarget"),
        (json!([{"op": "replace", "path": "emails[type eq", "value": 1}]), "invalidPath"),
        (json!([{"op": "replace", "path": "emails[type]", "value": 1}]), "invalidFilter"),
        (json!([{"op": "replace", "path": "id", "value": "x"}]), "mutability"),
        (json!([{"op": "remove", "path": "userName"}]), "invalidValue"),
        (json!([{"op": "add", "path": "title"}]), "invalidValue"),
        (json!([{"op": "add", "path": "userName.first", "value": 1}]), "invalidPath"),
    ];
    for (operations, code) in refused {
        let patch = serde_json::from_value(json!({"Operations": operations})).unwrap();
        let error = patch::apply(Kind::User, &user(before.clone()), patch).unwrap_err();
        assert_eq!(error.code, Some(code), "{operations}");
    }
}

#[test]
fn members_come_and_go() {
    let group =
        resource::read(Kind::Group, json!({"displayName": "g", "members": [{"value": "a"}, {"value": "b"}]})).unwrap();
    let after = |operations: Value| {
        let patch = serde_json::from_value(json!({"schemas": ["x"], "Operations": operations})).unwrap();
        let said = patch::apply(Kind::Group, &group, patch).unwrap();
        said.get("members").cloned().unwrap_or_else(|| json!([]))
    };
    assert_eq!(after(json!([{"op": "remove", "path": "members[value eq \"a\"]"}])), json!([{"value": "b"}]));
    assert_eq!(after(json!([{"op": "Remove", "path": "members", "value": [{"value": "b"}]}])), json!([{"value": "a"}]));
    let added = json!([{"op": "Add", "path": "members", "value": [{"value": "c", "display": "C"}, {"value": "a"}]}]);
    assert_eq!(after(added), json!([{"value": "a"}, {"value": "b"}, {"value": "c"}]));
    assert_eq!(
        after(json!([{"op": "replace", "path": "members", "value": [{"value": "d"}]}])),
        json!([{"value": "d"}])
    );
    assert_eq!(after(json!([{"op": "remove", "path": "members"}])), json!([]));
}

#[tokio::test]
async fn people_are_kept_and_found() {
    let dir = tempfile::tempdir().unwrap();
    let database = Database::in_file(&dir.path().join("p.db")).await.unwrap();
    let people = People::new(Stamp::new(&[1; 32]), Some(database.clone()));
    let ada = people.add(Kind::User, user(json!({"userName": "Ada", "externalId": "e1"})), 1).await.unwrap();
    let twin = people.add(Kind::User, user(json!({"userName": "ADA"})), 1).await.unwrap_err();
    assert_eq!(twin.code, Some("uniqueness"));
    let stolen = people.add(Kind::User, user(json!({"userName": "eve", "externalId": "e1"})), 1).await.unwrap_err();
    assert_eq!(stolen.code, Some("uniqueness"));
    let group =
        |members: Value| resource::read(Kind::Group, json!({"displayName": "ops", "members": members})).unwrap();
    assert!(people.add(Kind::Group, group(json!([{"value": "nobody"}])), 1).await.is_err());
    let ops = people.add(Kind::Group, group(json!([{"value": ada.id}])), 2).await.unwrap();
    let known = ["name:ada".to_owned()];
    assert_eq!((people.groups_of(&known), people.bars(&known)), (BTreeSet::from(["ops".to_owned()]), false));

    let leave =
        |one: &Person| Ok(Map::from_iter(one.said.clone().into_iter().chain([("active".to_owned(), json!(false))])));
    let late = people.change((Kind::User, &ada.id), Some(&[7]), 3, leave).await.unwrap_err();
    assert_eq!(late.code, Some("precondition"));
    assert_eq!(people.change((Kind::User, &ada.id), Some(&[1]), 3, leave).await.unwrap().version, 2);
    assert_eq!(people.change((Kind::User, &ada.id), None, 4, leave).await.unwrap().version, 2, "nothing changes");
    let again = People::new(Stamp::new(&[1; 32]), Some(database.clone()));
    again.read().await.unwrap();
    assert!(again.bars(&["id:e1".to_owned()]) && !again.bars(&["id:e2".to_owned()]));
    assert_eq!(again.groups_with(&ada.id), [(ops.id.clone(), "ops".to_owned())]);
    again.remove((Kind::User, &ada.id), None, 5, |_| Ok(())).await.unwrap();
    assert_eq!(again.get(Kind::Group, &ops.id).unwrap().members().count(), 0);
    assert!(again.remove((Kind::User, &ada.id), None, 5, |_| Ok(())).await.is_err());
    // The other process has not read that yet; the database knows better.
    let lost = people.change((Kind::User, &ada.id), None, 6, |_| Ok(user(json!({"userName": "x"})))).await.unwrap_err();
    assert_eq!(lost.code, Some("precondition"));
}

proptest! {
    #[test]
    fn no_filter_and_no_path_panics(text in "[ -~\u{e9}]{0,60}", path in "[a-z.\\[\\]\" :]{0,30}") {
        if let Ok(filter) = Filter::read(&text) {
            filter.fits(&json!({"userName": "a", "emails": [{"value": 1}, "x", null]}));
        }
        let patch = serde_json::from_value(json!({"Operations": [{"op": "add", "path": path, "value": text}]})).unwrap();
        let _ = patch::apply(Kind::User, &user(json!({"userName": "a", "emails": [{"value": 1}]})), patch);
    }
}
