//! `Param`: a field that the operator sets in the requests to a target.

/// One top-level field of a request's body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Param {
    /// Its name.
    pub name: String,
    /// Its value as JSON. `None`: the field is taken out.
    pub value: Option<String>,
}
