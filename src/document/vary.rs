//! Which requests a stored response may answer (RFC 9111 §4.1).

use http::header::{HeaderMap, HeaderName, VARY};

/// More names than this in `Vary` count as `*`: nobody could hit such an answer, and matching costs.
const MAX_NAMES: usize = 32;

/// The response matches no other request: `Vary: *`, or one that cannot be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeverMatches;

/// The request fields that `Vary` names, with the values they had in the request that was answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection(Box<[(HeaderName, Value)]>);

/// Normalised value; `None`: the field was missing, which only a missing field matches.
type Value = Option<Box<[u8]>>;

impl Selection {
    /// What `response` varies on, as `request` had it. Names in any order, case, number of lines.
    pub fn of(response: &HeaderMap, request: &HeaderMap) -> Result<Self, NeverMatches> {
        let mut names = Vec::new();
        for name in response.get_all(VARY).iter().flat_map(|line| line.as_bytes().split(|c| *c == b',')) {
            let name = name.trim_ascii();
            if name.is_empty() {
                continue;
            }
            // `*` is a token and so a well-formed field name to the parser.
            if name == b"*" {
                return Err(NeverMatches);
            }
            names.push(HeaderName::from_bytes(name).map_err(|_| NeverMatches)?);
        }
        names.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
        names.dedup();
        if names.len() > MAX_NAMES {
            return Err(NeverMatches);
        }
        let fields = names.into_iter().map(|name| {
            let value = normalised(request, &name);
            (name, value)
        });
        Ok(Self(fields.collect()))
    }

    /// The fields and their values, to be written down.
    pub fn fields(&self) -> impl Iterator<Item = (&HeaderName, Option<&[u8]>)> {
        self.0.iter().map(|(name, value)| (name, value.as_deref()))
    }

    /// What [`Self::fields`] told.
    pub fn of_fields(fields: Vec<(HeaderName, Option<Box<[u8]>>)>) -> Self {
        Self(fields.into())
    }

    /// Whether `request` has the same values in every field.
    pub fn matches(&self, request: &HeaderMap) -> bool {
        self.0.iter().all(|(name, value)| normalised(request, name) == *value)
    }

    /// Bytes held, roughly.
    pub fn weight(&self) -> usize {
        self.0
            .iter()
            .map(|(name, value)| name.as_str().len() + value.as_ref().map_or(0, |v| v.len()) + 64)
            .sum()
    }
}

/// Lines joined with a comma, white space around members removed: what §4.1 allows for every field. Case, order and
/// everything else stay, since only the field's own definition could tell what they mean.
fn normalised(request: &HeaderMap, name: &HeaderName) -> Value {
    let mut joined = None::<Vec<u8>>;
    for member in request.get_all(name).iter().flat_map(|line| line.as_bytes().split(|c| *c == b',')) {
        let joined = match &mut joined {
            Some(joined) => {
                joined.push(b',');
                joined
            }
            None => joined.insert(Vec::new()),
        };
        joined.extend_from_slice(member.trim_ascii());
    }
    joined.map(Vec::into_boxed_slice)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(fields: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap());
        }
        headers
    }

    type Fields<'a> = &'a [(&'a str, &'a str)];

    fn check(vary: &[&str], stored: Fields<'_>, asked: Fields<'_>, expected: bool) {
        let response = map(&vary.iter().map(|line| ("vary", *line)).collect::<Vec<_>>());
        let matches = Selection::of(&response, &map(stored)).is_ok_and(|one| one.matches(&map(asked)));
        assert_eq!(matches, expected, "vary {vary:?}: {stored:?} then {asked:?}");
    }

    #[test]
    fn selection() {
        check(&[], &[("a", "1")], &[("a", "2")], true);
        check(&[""], &[("a", "1")], &[("a", "2")], true);
        check(&["a"], &[("a", "1")], &[("a", "1")], true);
        check(&["A"], &[("a", "1")], &[("a", "1"), ("b", "2")], true);
        check(&["a"], &[("a", "1")], &[("a", "2")], false);
        check(&["a"], &[("a", "x")], &[("a", "X")], false);
        check(&["a"], &[("a", "1")], &[], false);
        check(&["a"], &[], &[("a", "1")], false);
        check(&["a"], &[], &[("a", "")], false);
        check(&["a"], &[], &[("b", "1")], true);
        check(&["a, b"], &[("a", "1"), ("b", "2")], &[("b", "2"), ("a", "1")], true);
        check(&["a, b"], &[("a", "1"), ("b", "2")], &[("a", "1"), ("b", "3")], false);
        check(&["a", "b"], &[("a", "1"), ("b", "2")], &[("a", "1"), ("b", "3")], false);
        check(&["b,a", "a"], &[("a", "1"), ("b", "2")], &[("a", "1"), ("b", "2")], true);
        check(&["a"], &[("a", "1, 2")], &[("a", "1"), ("a", "2")], true);
        check(&["a"], &[("a", "1,2")], &[("a", " 1 ,  2 ")], true);
        check(&["a"], &[("a", "1,2")], &[("a", "2,1")], false);
        check(&["a"], &[("a", "12")], &[("a", "1"), ("a", "2")], false);
        check(&["*"], &[], &[], false);
        check(&["a, *"], &[("a", "1")], &[("a", "1")], false);
        check(&["a", "*"], &[("a", "1")], &[("a", "1")], false);
        check(&["a b"], &[], &[], false);
    }

    #[test]
    fn too_many_names() {
        let names = (0..=MAX_NAMES).map(|n| format!("f{n}")).collect::<Vec<_>>().join(",");
        assert_eq!(Selection::of(&map(&[("vary", &names)]), &HeaderMap::new()), Err(NeverMatches));
    }
}
