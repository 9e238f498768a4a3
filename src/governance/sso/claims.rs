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

impl Extra {
    /// The groups in the claim of that name. `None`: there is no such claim.
    pub(super) fn groups(&self, claim: &str) -> Option<Vec<String>> {
        match self.find(claim)? {
            Value::String(text) => Some(vec![text.clone()]),
            Value::Array(all) => Some(all.iter().filter_map(Value::as_str).map(str::to_owned).collect()),
            _ => None,
        }
    }

    /// The text in the claim of that name.
    pub(super) fn text(&self, claim: &str) -> Option<String> {
        self.find(claim).and_then(Value::as_str).map(str::to_owned)
    }

    /// The claim of that very name; else a dot leads into one.
    fn find(&self, claim: &str) -> Option<&Value> {
        self.all.get(claim).or_else(|| {
            let mut parts = claim.split('.');
            let first = self.all.get(parts.next()?)?;
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
