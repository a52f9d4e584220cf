//! Who gets the document, and who is told that it has it.

use super::super::{Etags, PolicyServer};
use super::{Reply, Request, get, send};

async fn ask(server: &PolicyServer, if_none_match: &str) -> Reply {
    send(server, &Request::get(&server.path()).header("if-none-match", if_none_match)).await
}

fn etag(reply: &Reply) -> String {
    reply.header("etag").unwrap().to_owned()
}

#[tokio::test]
async fn whoever_names_the_etag_is_told_that_nothing_changed() {
    let server = PolicyServer::start().unwrap();
    server.set("one");
    for (etags, prefix) in [(Etags::Strong, "\""), (Etags::Weak, "W/\"")] {
        server.etags(etags);
        let first = etag(&get(&server, "").await);
        assert!(first.starts_with(prefix) && first.ends_with('"'), "{first}");
        let opaque = first.trim_start_matches("W/");
        for known in [first.clone(), opaque.to_owned(), format!("W/{opaque}"), format!("\"x\", {first}"), "*".into()] {
            let reply = ask(&server, &known).await;
            assert_eq!((reply.status.as_u16(), reply.body.len()), (304, 0), "{known}");
            assert_eq!(etag(&reply), first);
        }
        let reply = ask(&server, "\"x\", W/\"y\"").await;
        assert_eq!((reply.status.as_u16(), reply.text().as_str()), (200, "one"));
    }
}

#[tokio::test]
async fn another_document_has_another_etag_and_the_same_one_the_same() {
    let server = PolicyServer::start().unwrap();
    server.set("one");
    let first = etag(&get(&server, "").await);
    server.set("two");
    let reply = ask(&server, &first).await;
    assert_eq!((reply.status.as_u16(), reply.text().as_str()), (200, "two"));
    server.set("one");
    assert_eq!(ask(&server, &first).await.status, 304);
    server.remove();
    assert_eq!(ask(&server, &first).await.status, 404);
}

#[tokio::test]
async fn without_etags_every_answer_is_whole() {
    let server = PolicyServer::start().unwrap();
    server.set("one");
    let known = etag(&get(&server, "").await);
    server.etags(Etags::Absent);
    let reply = ask(&server, &known).await;
    assert_eq!((reply.text().as_str(), reply.header("etag")), ("one", None));
}
