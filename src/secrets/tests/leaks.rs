//! Nothing that is said of a store's answer holds any of it.

use super::*;
use crate::credentials::stub::Stub;
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Answers that hold the value where it does not belong, or in a form that is not understood.
fn odd(random: &mut StdRng) -> Said {
    let bodies = [
        HUSH.to_owned(),
        format!("{{\"{HUSH}\":{{}}}}"),
        format!("{{\"data\":\"{HUSH}\"}}"),
        format!("{{\"data\":{{\"data\":{{\"key\":[\"{HUSH}\"]}}}}}}"),
        format!("{{\"auth\":{{\"client_token\":\"\\n{HUSH}\"}}}}"),
        format!(
            "{{\"errors\":[\"{HUSH}\"],\"__type\":\"{HUSH}\",\"error\":{{\"status\":\"{HUSH}\",\"code\":\"{HUSH}\"}}}}"
        ),
        format!("{{\"error\":\"{HUSH}\",\"error_description\":\"{HUSH}\"}}"),
        format!(
            "{{\"SecretString\":7,\"SecretBinary\":\"{HUSH}\",\"payload\":{{\"data\":\"{HUSH}\"}},\"value\":[\"{HUSH}\"]}}"
        ),
        format!("{{\"access_token\":\"{HUSH}\",\"expires_in\":3600}}"),
    ];
    let status = [200, 200, 200, 301, 400, 401, 403, 404, 429, 500][random.random_range(0..10)];
    let headers = vec![("location", format!("http://127.0.0.1:1/{HUSH}"))];
    (status, headers, bodies[random.random_range(0..bodies.len())].clone().into_bytes())
}

#[tokio::test]
async fn no_answer_is_quoted_whatever_it_is() {
    let seed = 7;
    let random = Mutex::new(StdRng::seed_from_u64(seed));
    let stub = Stub::new(move |_| odd(&mut random.lock())).await;
    let settings = format!(
        "  timeout_ms: 300\n  vault: {{address: \"{0}\", auth: {{approle: {{role_id: r, secret_id: s}}}}}}\n  aws: {{region: r, endpoint: \"{0}\", access_key_id: A, secret_access_key: B}}\n  gcp: {{endpoint: \"{0}\"}}\n  azure: {{endpoint: \"{0}\", token_url: \"{0}/token\", tenant_id: t, client_id: app, client_secret: x}}",
        stub.url
    );
    let host = stub.url.strip_prefix("http://").unwrap().to_owned();
    let wanted = ["vault:a/b#key", "aws-sm:a#key", "gcp-sm:projects/p/secrets/s/versions/1#key", "azure-kv:v/s#key"];
    let draft = draft(&settings, &wanted, &[("GCE_METADATA_HOST", host.as_str())]);
    let mut refused = 0;
    for _ in 0..12 {
        let secrets = Secrets::default();
        let error = match secrets.resolve(&draft).await {
            Ok(settings) => settings.show(),
            Err(error) => {
                refused += 1;
                format!("{error} {error:?}")
            }
        };
        // The name of a field that is not there may be told by the store's JSON; no value is.
        let said = format!("{error} {:?} {secrets:?}", secrets.kept()).replace(&format!("fields are `{HUSH}`"), "");
        assert!(!said.contains(HUSH), "{said}");
    }
    assert!(refused > 0);
}
