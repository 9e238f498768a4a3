//! Which key a signed request shows. Its signature cannot be checked by whoever has not the secret: the id of the access
//! key is the key.
//!
//! After <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>.

/// The id of the access key in `Authorization: AWS4-HMAC-SHA256 Credential=ID/DATE/REGION/SERVICE/aws4_request, …`;
/// `None` where that is not what the header says.
pub fn access_key_id(authorization: &str) -> Option<&str> {
    let (scheme, rest) = authorization.trim_start().split_once([' ', '\t'])?;
    if !scheme.eq_ignore_ascii_case("AWS4-HMAC-SHA256") && !scheme.eq_ignore_ascii_case("AWS4-ECDSA-P256-SHA256") {
        return None;
    }
    let credential = rest.split(',').find_map(|field| field.trim().strip_prefix("Credential="))?;
    // The id may hold slashes; what follows it are always four words, or three where the region is not among them.
    let words = if scheme.len() == "AWS4-HMAC-SHA256".len() { 4 } else { 3 };
    let mut scope = credential.rsplitn(words + 1, '/');
    if scope.next()? != "aws4_request" {
        return None;
    }
    scope.nth(words - 1).filter(|id| !id.is_empty())
}

/// The id of the access key in `X-Amz-Credential` of a query, already decoded.
pub fn access_key_id_of_query(credential: &str) -> Option<&str> {
    let mut scope = credential.rsplitn(5, '/');
    if scope.next()? != "aws4_request" {
        return None;
    }
    scope.nth(3).filter(|id| !id.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_signed_request() {
        let of =
            |credential: &str| format!("AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host, Signature=ab");
        let table = [
            (of("AKIDEXAMPLE/20150830/us-east-1/bedrock/aws4_request"), Some("AKIDEXAMPLE")),
            (of("sk-of/a/team/20150830/us-east-1/bedrock/aws4_request"), Some("sk-of/a/team")),
            (of("/20150830/us-east-1/bedrock/aws4_request"), None),
            (of("AKID/20150830/us-east-1/bedrock"), None),
            (of("AKID"), None),
            ("AWS4-HMAC-SHA256 SignedHeaders=host,Credential=A/1/r/s/aws4_request,Signature=0".to_owned(), Some("A")),
            ("AWS4-ECDSA-P256-SHA256 Credential=A/1/s/aws4_request, SignedHeaders=host".to_owned(), Some("A")),
            ("Bearer AKID".to_owned(), None),
            ("AWS4-HMAC-SHA256".to_owned(), None),
            (String::new(), None),
        ];
        for (header, expected) in table {
            assert_eq!(access_key_id(&header), expected, "{header}");
        }
        assert_eq!(access_key_id_of_query("A/1/r/s/aws4_request"), Some("A"));
        assert_eq!(access_key_id_of_query("A"), None);
    }
}
