//! What the crate `openidconnect` is to know of: a provider, its tokens, and claims of which it knows nothing.

use super::asker::Asker;
use crate::config;
use openidconnect::core::{
    CoreAuthDisplay, CoreAuthPrompt, CoreClientAuthMethod, CoreErrorResponseType, CoreGenderClaim, CoreIdTokenVerifier,
    CoreJsonWebKey, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm, CoreRevocableToken,
    CoreRevocationErrorResponse, CoreTokenIntrospectionResponse, CoreTokenType,
};
use openidconnect::{
    AdditionalClaims, AuthType, Client, ClientId, ClientSecret, EmptyExtraTokenFields, EndSessionUrl, EndpointMaybeSet,
    EndpointNotSet, EndpointSet, IdTokenFields, IssuerUrl, ProviderMetadataWithLogout, RedirectUrl,
    StandardErrorResponse, StandardTokenResponse,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::sync::Arc;

/// Claims of which the crate knows nothing.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Extra {
    #[serde(flatten)]
    all: Map<String, Value>,
}

impl AdditionalClaims for Extra {}

/// All that a provider says of somebody in one place: the crate takes the claims that it knows out of those that it does not.
#[derive(Debug, Default)]
pub(super) struct Said(Map<String, Value>);

impl Said {
    /// What those claims say.
    pub(super) fn by(claims: &impl Serialize) -> Said {
        match serde_json::to_value(claims) {
            Ok(Value::Object(all)) => Said(all),
            _ => Said::default(),
        }
    }

    /// The groups in the claim of that name. `None`: there is no such claim.
    pub(super) fn groups(&self, claim: &str) -> Option<Vec<String>> {
        match self.find(claim)? {
            Value::String(text) => Some(vec![text.clone()]),
            Value::Array(all) => Some(all.iter().filter_map(Value::as_str).map(str::to_owned).collect()),
            _ => None,
        }
    }

    /// The text in the claim of that name, where the provider vouches for it: it says itself of which addresses and numbers it does not.
    pub(super) fn vouched(&self, claim: &str) -> Option<String> {
        let verified = |claim: &str| self.0.get(claim) == Some(&Value::Bool(true));
        let is_good = match claim {
            "email" => verified("email_verified"),
            "phone_number" => verified("phone_number_verified"),
            _ => true,
        };
        let text = self.find(claim).filter(|_| is_good).and_then(Value::as_str);
        text.filter(|text| !text.trim().is_empty()).map(str::to_owned)
    }

    /// The claim of that very name; else a dot leads into one.
    fn find(&self, claim: &str) -> Option<&Value> {
        self.0.get(claim).or_else(|| {
            let mut parts = claim.split('.');
            let first = self.0.get(parts.next()?)?;
            parts.try_fold(first, |value, part| value.get(part))
        })
    }
}

type Fields = IdTokenFields<
    Extra,
    EmptyExtraTokenFields,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm,
>;

/// What a provider gives.
pub(super) type TokenSet = StandardTokenResponse<Fields, CoreTokenType>;

type Known = Client<
    Extra,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    TokenSet,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// An identity provider, as it says of itself.
#[derive(Clone)]
pub(super) struct Provider {
    pub(super) client: Arc<Known>,
    /// Where people sign out.
    pub(super) logout: Option<EndSessionUrl>,
}

impl Provider {
    /// Reads what the provider of the configuration says of itself.
    pub(super) async fn discovered(settings: &config::Sso, asker: &Asker) -> Result<Provider, String> {
        let issuer = IssuerUrl::new(settings.issuer.clone()).map_err(|error| error.to_string())?;
        let found = ProviderMetadataWithLogout::discover_async(issuer, asker).await;
        let found = found.map_err(|error| crate::governance::fetch::last(&error))?;
        let logout = found.additional_metadata().end_session_endpoint.clone();
        let methods = found.token_endpoint_auth_methods_supported().cloned().unwrap_or_default();
        let in_body = methods.contains(&CoreClientAuthMethod::ClientSecretPost)
            && !methods.contains(&CoreClientAuthMethod::ClientSecretBasic);
        let secret = settings.client_secret.as_ref().map(|secret| ClientSecret::new(secret.expose().to_owned()));
        let redirect = RedirectUrl::new(settings.redirect_url.clone()).map_err(|error| error.to_string())?;
        let client = Client::from_provider_metadata(found, ClientId::new(settings.client_id.clone()), secret);
        let auth = if in_body { AuthType::RequestBody } else { AuthType::BasicAuth };
        Ok(Provider { client: Arc::new(client.set_redirect_uri(redirect).set_auth_type(auth)), logout })
    }

    /// Checks its id tokens, if they are signed by one of these.
    pub(super) fn verifier(&self, algorithms: &[CoreJwsSigningAlgorithm]) -> CoreIdTokenVerifier<'_> {
        self.client.id_token_verifier().set_allowed_algs(algorithms.iter().cloned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use openidconnect::UserInfoClaims;
    use openidconnect::core::CoreGenderClaim;

    fn said(json: &Value) -> Said {
        let text = json.to_string();
        let claims = UserInfoClaims::<Extra, CoreGenderClaim>::from_json::<std::io::Error>(text.as_bytes(), None);
        Said::by(&claims.unwrap())
    }

    #[test]
    fn claims_that_the_crate_knows_are_found_as_others_are() {
        let all = said(&serde_json::json!({
            "sub": "u1", "name": "Ada Lovelace", "preferred_username": "ada", "email": "ada@example.com", "email_verified": true,
            "phone_number": "+1", "phone_number_verified": false, "nickname": " ", "employee": "e7", "org": {"id": "red"},
            "groups": ["ops", 7, "red"],
        }));
        for (claim, text) in [
            ("sub", "u1"),
            ("name", "Ada Lovelace"),
            ("preferred_username", "ada"),
            ("email", "ada@example.com"),
            ("employee", "e7"),
            ("org.id", "red"),
        ] {
            assert_eq!(all.vouched(claim).as_deref(), Some(text), "{claim}");
        }
        for claim in ["phone_number", "nickname", "org", "groups", "nothing", "family_name"] {
            assert_eq!(all.vouched(claim), None, "{claim}");
        }
        assert_eq!(all.groups("groups").unwrap(), ["ops", "red"]);
        assert_eq!(all.groups("employee").unwrap(), ["e7"]);
        assert!(all.groups("roles").is_none());
        let unverified = said(&serde_json::json!({"sub": "u1", "email": "root@example.com"}));
        assert_eq!(unverified.vouched("email"), None, "anybody may claim an address");
    }
}
