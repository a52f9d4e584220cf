//! A request or a response, as it is written on a command line.

use anyhow::{Context, Result, bail, ensure};
use sluicegate_policy::is_header_name;

/// Names in lower case and values, in the order in which a proxy has them.
pub(super) type Headers = Vec<(String, String)>;

/// Reads `GET /pay HTTP/1.1` and the headers behind it. A line ends with the line, or with `\n` written out. `@FILE` is a
/// file's text.
pub(super) fn request(text: &str, more: &[String]) -> Result<Headers> {
    let text = text_of(text)?;
    let mut lines = lines(&text);
    let first = lines.next().unwrap_or_default();
    let mut words = first.split_whitespace();
    let (Some(method), Some(target), version, None) = (words.next(), words.next(), words.next(), words.next()) else {
        bail!("not a request line: {first:?}; such as \"GET /pay HTTP/1.1\"");
    };
    ensure!(version.is_none_or(|v| v.starts_with("HTTP/")), "not a version of HTTP: {:?}", version.unwrap_or_default());
    let mut headers = vec![(":method".to_owned(), method.to_owned())];
    let (authority, path) = split_target(target)?;
    let given = lines.chain(more.iter().map(String::as_str)).filter(|line| !line.is_empty());
    let given = given.map(header).collect::<Result<Headers>>()?;
    let host = given.iter().find(|(name, _)| name == "host").map(|(_, value)| value.clone());
    headers.push((":path".to_owned(), path.to_owned()));
    if let Some(authority) = authority.map(str::to_owned).or(host) {
        headers.push((":authority".to_owned(), authority));
    }
    headers.push((":scheme".to_owned(), "http".to_owned()));
    for (name, value) in given.into_iter().filter(|(name, _)| name != "host") {
        // What is written out in full takes the place of what the request line says.
        if name.starts_with(':') {
            headers.retain(|(known, _)| *known != name);
        }
        headers.push((name, value));
    }
    Ok(headers)
}

/// Reads `503`, perhaps behind `HTTP/1.1`, and the headers behind it.
pub(super) fn response(text: &str) -> Result<(u16, Headers)> {
    let text = text_of(text)?;
    let mut lines = lines(&text);
    let first = lines.next().unwrap_or_default();
    let mut words = first.split_whitespace().skip_while(|word| word.starts_with("HTTP/"));
    let status = words.next().and_then(|word| word.parse().ok()).filter(|status| (100..=599).contains(status));
    let status: u16 = status.with_context(|| format!("not a response: {first:?}; such as \"503\""))?;
    let mut headers = vec![(":status".to_owned(), status.to_string())];
    for line in lines.filter(|line| !line.is_empty()) {
        headers.push(header(line)?);
    }
    Ok((status, headers))
}

fn text_of(text: &str) -> Result<String> {
    match text.strip_prefix('@') {
        Some(file) => std::fs::read_to_string(file).with_context(|| format!("cannot read {file}")),
        None => Ok(text.replace("\\r\\n", "\n").replace("\\n", "\n")),
    }
}

/// The lines of a message's head: what comes after an empty one is its body.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).take_while(|line| !line.is_empty())
}

/// `http://shop/pay` names a host as well.
fn split_target(target: &str) -> Result<(Option<&str>, &str)> {
    if let Some(rest) = target.strip_prefix("http://").or_else(|| target.strip_prefix("https://")) {
        let path = rest.find('/').map_or("/", |at| rest.split_at(at).1);
        return Ok((rest.split('/').next(), path));
    }
    ensure!(target.starts_with('/') || target == "*", "not a path: {target:?}; it begins with /");
    Ok((None, target))
}

fn header(line: &str) -> Result<(String, String)> {
    // HTTP/2's own begin with a colon.
    let colon = line.get(1..).and_then(|rest| rest.find(':')).map(|at| at.saturating_add(1));
    let (name, value) = colon.map(|at| line.split_at(at)).with_context(|| format!("not a header: {line:?}"))?;
    let value = value.trim_start_matches(':').trim();
    let name = name.trim().to_ascii_lowercase();
    ensure!(is_header_name(name.strip_prefix(':').unwrap_or(&name)), "not the name of a header: {name:?}");
    Ok((name, value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, more: &[&str]) -> String {
        let more: Vec<_> = more.iter().map(|line| (*line).to_owned()).collect();
        let headers = request(text, &more).unwrap();
        headers.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_request_is_a_line_and_headers_behind_it() {
        let full = ":method=GET :path=/pay?x=1 :authority=shop :scheme=http x-tier=gold";
        assert_eq!(read("GET /pay?x=1 HTTP/1.1\\nHost: shop\\nX-Tier: gold", &[]), full);
        assert_eq!(read("GET /pay?x=1 HTTP/1.1\r\nhost: shop\r\nx-tier:gold\r\n\r\nx-body: no", &[]), full);
        assert_eq!(read("GET /pay?x=1", &["host: shop", "x-tier: gold"]), full);
        assert_eq!(read("GET http://shop/pay?x=1 HTTP/1.1", &["x-tier: gold"]), full);
        assert_eq!(read("GET /", &[":scheme: https", "x: a:b"]), ":method=GET :path=/ :scheme=https x=a:b");
    }

    #[test]
    fn what_is_no_request_is_told() {
        for text in ["", "GET", "GET pay", "GET / HTTP/1.1 x", "GET / FTP/1", "GET /\\nno header", "GET /\\nx y: z"] {
            assert!(request(text, &[]).is_err(), "{text}");
        }
    }

    #[test]
    fn a_response_is_a_status_and_headers_behind_it() {
        let headers = response("HTTP/1.1 503 Unavailable\\nRetry-After: 3").unwrap();
        assert_eq!(headers.0, 503);
        assert_eq!(headers.1.last(), Some(&("retry-after".to_owned(), "3".to_owned())));
        assert!(response("600").is_err() && response("ok").is_err());
    }
}
