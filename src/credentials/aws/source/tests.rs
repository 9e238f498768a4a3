//! Tests of the places where access keys are found.

use super::*;
use crate::config::Cloud;
use crate::credentials::stub::Stub;

const XML: &str = "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASIA1</AccessKeyId>\
    <SecretAccessKey>s3</SecretAccessKey><SessionToken>tok==</SessionToken><Expiration>2100-03-01T00:00:00Z</Expiration>\
    </Credentials></AssumeRoleResult></AssumeRoleResponse>";
const KEY_JSON: &str = r#"{"Code":"Success","AccessKeyId":"ASIA2","SecretAccessKey":"s4","Token":"t4","Expiration":"2100-03-01T00:00:00Z"}"#;

fn found(cloud: &Cloud, vars: &[(&str, &str)]) -> Source {
    let mut all = vec![("HOME", "/nowhere")];
    all.extend(vars);
    Source::find(cloud, "eu-west-1", &Environment::of(&all))
}

fn told(id: &str) -> Cloud {
    Cloud { access_key_id: Some(Secret::new(id)), secret_access_key: Some(Secret::new("s")), ..Cloud::default() }
}

#[test]
fn the_first_place_that_is_told_is_taken() {
    let keys = [("AWS_ACCESS_KEY_ID", "E"), ("AWS_SECRET_ACCESS_KEY", "s"), ("AWS_SESSION_TOKEN", "t")];
    let Source::Told(key) = found(&told("A"), &keys) else { panic!("told") };
    assert_eq!((key.id.expose(), &key.token), ("A", &None));
    let Source::Told(key) = found(&Cloud::default(), &keys) else { panic!("told") };
    assert_eq!((key.id.expose(), key.token.as_ref().map(Secret::expose)), ("E", Some("t")));
    let role = Cloud { role_arn: Some("arn:r".into()), ..Cloud::default() };
    let near = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1/x");
    let far = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://example.org/x");
    let web = [("AWS_WEB_IDENTITY_TOKEN_FILE", "/t"), ("AWS_ROLE_ARN", "arn:e")];
    type Case<'c> = (&'c Cloud, &'c [(&'c str, &'c str)], &'c str);
    let table: [Case<'_>; 8] = [
        (&role, &keys, "role"),
        (&Cloud::default(), &web, "web identity"),
        (&role, &web, "role"),
        (&role, &web[..1], "web identity"),
        (&Cloud::default(), &[("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/x")], "container"),
        (&Cloud::default(), &[near], "container"),
        (&Cloud::default(), &[far], "instance"),
        (&Cloud::default(), &[], "instance"),
    ];
    for (cloud, vars, word) in table {
        assert_eq!(found(cloud, vars).word(), word, "{vars:?}");
    }
}

#[tokio::test]
async fn a_role_is_taken_on() {
    let sts = Stub::new(|_| (200, vec![], XML.as_bytes().to_vec())).await;
    let cloud = Cloud {
        role_arn: Some("arn:aws:iam::1:role/r".into()),
        external_id: Some(Secret::new("ex/1")),
        token_url: Some(sts.url.clone()),
        ..told("AKID")
    };
    let fetched = found(&cloud, &[]).fetch().await.unwrap();
    assert_eq!((fetched.key.id.expose(), fetched.key.token.as_ref().map(Secret::expose)), ("ASIA1", Some("tok==")));
    assert_eq!(fetched.until, dates::parsed("2100-03-01T00:00:00Z"));
    let asked = &sts.asked()[0];
    assert_eq!(asked.line, "POST /");
    let body = "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr&RoleSessionName=askonce\
                &DurationSeconds=3600&ExternalId=ex%2F1";
    assert_eq!(String::from_utf8_lossy(&asked.body), body);
    let authorization = &asked.headers["authorization"];
    assert!(authorization.starts_with("AWS4-HMAC-SHA256 Credential=AKID/"), "{authorization}");
    assert!(authorization.contains("/eu-west-1/sts/aws4_request"), "{authorization}");
}

#[tokio::test]
async fn a_web_identity_takes_its_role_on_without_a_signature() {
    let sts = Stub::new(|_| (200, vec![], XML.as_bytes().to_vec())).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "a.b.c\n").unwrap();
    let cloud = Cloud { token_url: Some(sts.url.clone()), ..Cloud::default() };
    let vars = [("AWS_WEB_IDENTITY_TOKEN_FILE", file.to_str().unwrap()), ("AWS_ROLE_ARN", "arn:r")];
    assert_eq!(found(&cloud, &vars).fetch().await.unwrap().key.id.expose(), "ASIA1");
    let asked = &sts.asked()[0];
    assert!(String::from_utf8_lossy(&asked.body).ends_with("&WebIdentityToken=a.b.c"));
    assert!(!asked.headers.contains_key("authorization"));
}

#[tokio::test]
async fn the_machine_is_asked_by_its_second_version() {
    let machine = Stub::new(|asked| match (asked.line.as_str(), asked.headers.get("x-aws-ec2-metadata-token")) {
        ("PUT /latest/api/token", _) => (200, vec![], b"tok".to_vec()),
        ("GET /latest/meta-data/iam/security-credentials/", Some(_)) => (200, vec![], b"my-role\n".to_vec()),
        ("GET /latest/meta-data/iam/security-credentials/my-role", Some(token)) if token == "tok" => {
            (200, vec![], KEY_JSON.as_bytes().to_vec())
        }
        _ => (401, vec![], vec![]),
    })
    .await;
    let fetched = found(&Cloud::default(), &[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &machine.url)]).fetch().await;
    assert_eq!(fetched.unwrap().key.id.expose(), "ASIA2");
    assert_eq!(machine.asked().len(), 3);
}

#[tokio::test]
async fn the_container_is_shown_its_token() {
    let container = Stub::new(|asked| match asked.headers.get("authorization").map(String::as_str) {
        Some("hush") => (200, vec![], KEY_JSON.as_bytes().to_vec()),
        _ => (403, vec![], b"{}".to_vec()),
    })
    .await;
    let uri = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", container.url.as_str());
    let fetched = found(&Cloud::default(), &[uri, ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "hush")]).fetch().await;
    assert_eq!(fetched.unwrap().key.secret.expose(), "s4");
    let refused = found(&Cloud::default(), &[uri]).fetch().await.unwrap_err();
    assert_eq!(refused, "the endpoint of credentials answered with status 403");
}

#[tokio::test]
async fn a_refusal_tells_no_secret_and_no_account() {
    let refusal = "<ErrorResponse><Error><Code>AccessDenied</Code><Message>User arn:aws:iam::1 may not</Message></Error></ErrorResponse>";
    let sts = Stub::new(move |_| (403, vec![], refusal.as_bytes().to_vec())).await;
    let cloud = Cloud { role_arn: Some("arn:r".into()), token_url: Some(sts.url.clone()), ..told("AKID") };
    assert_eq!(found(&cloud, &[]).fetch().await.unwrap_err(), "STS answered with status 403");
    for (text, ok) in [(KEY_JSON, true), ("{}", false), ("<html>", false)] {
        assert_eq!(of_json(text).is_ok(), ok);
    }
    assert!(of_xml("<AccessKeyId>a</AccessKeyId>").is_none());
}
