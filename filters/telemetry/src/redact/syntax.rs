/// How a stretch of text is written, which says where a name begins and a value ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Syntax {
    /// The path of a URL: segments with matrix parameters (`;v=1`); a value ends with its segment.
    Path,
    /// Parameters; a value ends at `&`. A `;` begins a parameter but ends no value.
    Query,
    /// The value of a header or an attribute: a value ends at `&`, at the end of a line and of a quoted string, and at a
    /// `;` before a space, as in a cookie.
    Field,
}
