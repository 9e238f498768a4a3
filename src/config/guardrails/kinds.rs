//! Settings of guardrails that are one word out of a few.

use super::super::kinds::{UnknownWord, words};
use std::fmt;
use std::str::FromStr;

words! {
    /// What a guardrail looks at.
    GuardOn, "direction" {
        /// Requests.
        Input = "input",
        /// Answers.
        Output = "output",
        /// Both.
        Both = "both",
    }
}

words! {
    /// What is done about what is found.
    GuardAction, "action" {
        /// The request or the answer is refused.
        Block = "block",
        /// It is replaced.
        Redact = "redact",
        /// It is counted and told.
        Flag = "flag",
        /// The request goes to another model.
        Reroute = "reroute",
    }
}

words! {
    /// What becomes of what cannot be looked at, or of a check that failed.
    GuardFailure, "way to fail" {
        /// It is refused.
        Refuse = "refuse",
        /// It passes.
        Pass = "pass",
    }
}

words! {
    /// What tells persons apart.
    Pii, "kind of personal data" {
        /// Addresses of mail.
        Email = "email",
        /// Telephone numbers.
        Phone = "phone",
        /// Numbers of payment cards.
        CreditCard = "credit_card",
        /// Numbers of bank accounts.
        Iban = "iban",
        /// Social security numbers of the United States.
        UsSsn = "us_ssn",
        /// Taxpayer numbers of the United States.
        UsItin = "us_itin",
        /// National insurance numbers of the United Kingdom.
        UkNino = "uk_nino",
        /// Numbers of the National Health Service.
        UkNhs = "uk_nhs_number",
        /// Identity numbers of Spain.
        EsDni = "es_dni",
        /// Social security numbers of France.
        FrNir = "fr_nir",
        /// Taxpayer numbers of Brazil.
        BrCpf = "br_cpf",
        /// Identity numbers of India.
        InAadhaar = "in_aadhaar",
        /// Internet addresses.
        IpAddress = "ip_address",
        /// Addresses of network cards.
        MacAddress = "mac_address",
        /// Addresses of wallets.
        CryptoAddress = "crypto_address",
    }
}

words! {
    /// What opens doors.
    SecretKind, "kind of secret" {
        /// Keys of providers of models.
        ProviderKey = "provider_key",
        /// Keys of Amazon Web Services.
        AwsKey = "aws_key",
        /// Tokens of GitHub.
        GithubToken = "github_token",
        /// Tokens of GitLab.
        GitlabToken = "gitlab_token",
        /// Tokens and hooks of Slack.
        SlackToken = "slack_token",
        /// Keys of Stripe.
        StripeKey = "stripe_key",
        /// Tokens of other services.
        ServiceToken = "service_token",
        /// Private keys in PEM form.
        PrivateKey = "private_key",
        /// JSON web tokens.
        Jwt = "jwt",
        /// Passwords in URLs.
        PasswordInUrl = "password_in_url",
        /// Random text that something called a password or key is set to.
        Assignment = "assignment",
    }
}
