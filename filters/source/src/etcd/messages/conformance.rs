//! What prost makes of our bytes, and we of prost's, with etcd's messages as its `rpc.proto` and `kv.proto` define
//! them.

use super::*;
use crate::etcd::testing::KEY;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use prost::Message;

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ResponseHeader {
    #[prost(uint64, tag = 1)]
    pub(crate) cluster_id: u64,
    #[prost(uint64, tag = 2)]
    member_id: u64,
    #[prost(int64, tag = 3)]
    pub(crate) revision: i64,
    #[prost(uint64, tag = 4)]
    pub(crate) raft_term: u64,
}

#[derive(Clone, PartialEq, Message)]
struct PbKeyValue {
    #[prost(bytes = "vec", tag = 1)]
    key: Vec<u8>,
    #[prost(int64, tag = 2)]
    create_revision: i64,
    #[prost(int64, tag = 3)]
    mod_revision: i64,
    #[prost(int64, tag = 4)]
    version: i64,
    #[prost(bytes = "vec", tag = 5)]
    value: Vec<u8>,
    #[prost(int64, tag = 6)]
    lease: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct RangeRequest {
    #[prost(bytes = "vec", tag = 1)]
    pub(crate) key: Vec<u8>,
    #[prost(bytes = "vec", tag = 2)]
    range_end: Vec<u8>,
    #[prost(int64, tag = 3)]
    limit: i64,
    #[prost(int64, tag = 4)]
    revision: i64,
    #[prost(int32, tag = 5)]
    sort_order: i32,
    #[prost(int32, tag = 6)]
    sort_target: i32,
    #[prost(bool, tag = 7)]
    pub(crate) serializable: bool,
}

#[derive(Clone, PartialEq, Message)]
struct RangeResponse {
    #[prost(message, optional, tag = 1)]
    header: Option<ResponseHeader>,
    #[prost(message, repeated, tag = 2)]
    kvs: Vec<PbKeyValue>,
    #[prost(bool, tag = 3)]
    more: bool,
    #[prost(int64, tag = 4)]
    count: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct WatchRequest {
    #[prost(oneof = "RequestUnion", tags = "1, 2, 3")]
    pub(crate) request_union: Option<RequestUnion>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum RequestUnion {
    #[prost(message, tag = 1)]
    Create(WatchCreateRequest),
    #[prost(message, tag = 2)]
    Cancel(WatchCancelRequest),
    #[prost(message, tag = 3)]
    Progress(WatchProgressRequest),
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct WatchCreateRequest {
    #[prost(bytes = "vec", tag = 1)]
    pub(crate) key: Vec<u8>,
    #[prost(bytes = "vec", tag = 2)]
    range_end: Vec<u8>,
    #[prost(int64, tag = 3)]
    pub(crate) start_revision: i64,
    #[prost(bool, tag = 4)]
    progress_notify: bool,
    #[prost(int32, repeated, tag = 5)]
    filters: Vec<i32>,
    #[prost(bool, tag = 6)]
    prev_kv: bool,
    #[prost(int64, tag = 7)]
    watch_id: i64,
    #[prost(bool, tag = 8)]
    fragment: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct WatchCancelRequest {
    #[prost(int64, tag = 1)]
    watch_id: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct WatchProgressRequest {}

#[derive(Clone, PartialEq, Message)]
struct Event {
    #[prost(int32, tag = 1)]
    kind: i32,
    #[prost(message, optional, tag = 2)]
    kv: Option<PbKeyValue>,
    #[prost(message, optional, tag = 3)]
    prev_kv: Option<PbKeyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct WatchResponse {
    #[prost(message, optional, tag = 1)]
    header: Option<ResponseHeader>,
    #[prost(int64, tag = 2)]
    watch_id: i64,
    #[prost(bool, tag = 3)]
    created: bool,
    #[prost(bool, tag = 4)]
    canceled: bool,
    #[prost(int64, tag = 5)]
    compact_revision: i64,
    #[prost(string, tag = 6)]
    cancel_reason: String,
    #[prost(bool, tag = 7)]
    fragment: bool,
    #[prost(message, repeated, tag = 11)]
    events: Vec<Event>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct AuthenticateRequest {
    #[prost(string, tag = 1)]
    pub(crate) name: String,
    #[prost(string, tag = 2)]
    pub(crate) password: String,
}

#[derive(Clone, PartialEq, Message)]
struct AuthenticateResponse {
    #[prost(message, optional, tag = 1)]
    header: Option<ResponseHeader>,
    #[prost(string, tag = 2)]
    token: String,
}

fn any_number() -> impl Strategy<Value = i64> {
    prop_oneof![0..200_i64, any::<i64>()]
}

prop_compose! {
    fn any_header()(ids: [u64; 2], revision in any_number(), raft_term: u64) -> ResponseHeader {
        ResponseHeader { cluster_id: ids[0], member_id: ids[1], revision, raft_term }
    }
}

fn any_key() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![4 => Just(KEY.as_bytes().to_vec()), 1 => vec(any::<u8>(), 0..20)]
}

prop_compose! {
    fn any_pair(key: impl Strategy<Value = Vec<u8>>)(
        key in key,
        value in vec(any::<u8>(), 0..300),
        mod_revision in any_number(),
        others in vec(any_number(), 3),
    ) -> PbKeyValue {
        PbKeyValue { key, value, mod_revision, create_revision: others[0], version: others[1], lease: others[2] }
    }
}

prop_compose! {
    fn any_range()(
        header in proptest::option::of(any_header()),
        kvs in vec(any_pair(Just(KEY.as_bytes().to_vec())), 0..2),
        more: bool,
        count in any_number(),
    ) -> RangeResponse {
        RangeResponse { header, kvs, more, count }
    }
}

prop_compose! {
    fn any_event()(
        kind in prop_oneof![8 => 0..2_i32, 1 => any::<i32>()],
        kv in proptest::option::weighted(0.9, any_pair(any_key())),
        prev_kv in proptest::option::weighted(0.2, any_pair(any_key())),
    ) -> Event {
        Event { kind, kv, prev_kv }
    }
}

prop_compose! {
    fn any_watched()(
        header in proptest::option::of(any_header()),
        watch_id in any_number(),
        flags: [bool; 3],
        compact_revision in any_number(),
        cancel_reason in ".{0,40}",
        events in vec(any_event(), 0..5),
    ) -> WatchResponse {
        let [created, canceled, fragment] = flags;
        WatchResponse { header, watch_id, created, canceled, compact_revision, cancel_reason, fragment, events }
    }
}

fn our_header(header: Option<&ResponseHeader>) -> Header {
    header.map_or(Header::default(), |header| Header {
        cluster_id: header.cluster_id,
        revision: header.revision,
        raft_term: header.raft_term,
    })
}

fn our_range(theirs: &RangeResponse) -> Range<'_> {
    let pair = theirs.kvs.last();
    let pair = pair.map(|kv| KeyValue { key: &kv.key, mod_revision: kv.mod_revision, value: &kv.value });
    Range { header: our_header(theirs.header.as_ref()), pair }
}

fn our_watched(theirs: &WatchResponse) -> Watched<'_> {
    let changes = theirs.events.iter().filter_map(|event| {
        let kv = event.kv.as_ref().filter(|kv| kv.key == KEY.as_bytes())?;
        let change = match event.kind {
            0 => Change::Put(&kv.value),
            1 => Change::Delete,
            _ => Change::Unknown,
        };
        Some((kv.mod_revision, change))
    });
    Watched {
        header: our_header(theirs.header.as_ref()),
        watch_id: theirs.watch_id,
        created: theirs.created,
        canceled: theirs.canceled,
        compact_revision: theirs.compact_revision,
        cancel_reason: &theirs.cancel_reason,
        newest: changes.reduce(|one, other| if other.0 > one.0 { other } else { one }),
    }
}

/// Fields that no message of ours has.
fn unknown_fields() -> impl Strategy<Value = Vec<u8>> {
    const FIELDS: [&[u8]; 4] =
        [b"\xfa\x06\x03abc", b"\xf8\x06\x07", b"\xfd\x06\x01\x02\x03\x04", b"\xf9\x06\x01\x02\x03\x04\x05\x06\x07\x08"];
    vec(select(&FIELDS[..]), 0..3).prop_map(|fields| fields.concat())
}

/// Bytes that are almost those.
pub(crate) fn mutated(bytes: &[u8], changes: &[(Index, u8, u8)]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for (at, byte, how) in changes {
        let index = at.index(bytes.len() + 1);
        match how % 4 {
            0 => bytes.insert(index, *byte),
            1 => bytes.truncate(index),
            2 if index < bytes.len() => bytes[index] ^= 1 << (byte % 8),
            3 if index < bytes.len() => _ = bytes.remove(index),
            _ => {}
        }
    }
    bytes
}

fn any_changes() -> impl Strategy<Value = Vec<(Index, u8, u8)>> {
    vec(any::<(Index, u8, u8)>(), 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn our_requests_say_what_they_mean(
        key in ".{1,300}",
        from in 1..u64::MAX / 2,
        name in ".{0,20}",
        password in ".{0,200}",
    ) {
        let authenticate = AuthenticateRequest::decode(&authenticate(&name, password.as_bytes())[..]);
        prop_assert_eq!(authenticate, Ok(AuthenticateRequest { name, password }));
        let wanted = RangeRequest { key: key.clone().into_bytes(), ..RangeRequest::default() };
        prop_assert_eq!(RangeRequest::decode(&range(&key)[..]), Ok(wanted));
        let wanted = RequestUnion::Create(WatchCreateRequest {
            key: key.clone().into_bytes(),
            start_revision: from as i64,
            ..WatchCreateRequest::default()
        });
        prop_assert_eq!(WatchRequest::decode(&create_watch(&key, from)[..]).unwrap().request_union, Some(wanted));
        let wanted = RequestUnion::Progress(WatchProgressRequest {});
        prop_assert_eq!(WatchRequest::decode(&request_progress()[..]).unwrap().request_union, Some(wanted));
    }

    #[test]
    fn etcds_answers_are_read_as_they_are_meant(
        answers in (any_range(), any_watched()),
        of_token in (".{0,100}", any_header()),
        unknown in unknown_fields(),
    ) {
        let (range, watched) = answers;
        let bytes = [range.encode_to_vec(), unknown.clone()].concat();
        prop_assert_eq!(Range::read(&bytes, KEY), Ok(our_range(&range)));
        let bytes = [unknown.clone(), watched.encode_to_vec()].concat();
        prop_assert_eq!(Watched::read(&bytes, KEY), Ok(our_watched(&watched)));
        let (text, header) = of_token;
        let answer = AuthenticateResponse { header: Some(header), token: text.clone() };
        let bytes = [answer.encode_to_vec(), unknown].concat();
        prop_assert_eq!(token(&bytes), Ok(text.as_str()));
    }

    #[test]
    fn whatever_comes_is_read_as_prost_reads_it_or_not_at_all(
        answers in (any_range(), any_watched(), ".{0,30}"),
        changes in any_changes(),
        noise in vec(any::<u8>(), 0..40),
    ) {
        let (range, watched, text) = answers;
        let token_answer = AuthenticateResponse { header: None, token: text };
        let of = |message: Vec<u8>| mutated(&message, &changes);
        for bytes in [of(range.encode_to_vec()), of(watched.encode_to_vec()), of(token_answer.encode_to_vec()), noise] {
            if let Ok(ours) = Range::read(&bytes, KEY) {
                let theirs = RangeResponse::decode(&bytes[..]).unwrap();
                prop_assert_eq!(ours, our_range(&theirs));
            }
            if let Ok(ours) = Watched::read(&bytes, KEY) {
                let theirs = WatchResponse::decode(&bytes[..]).unwrap();
                prop_assert_eq!(ours, our_watched(&theirs));
            }
            if let Ok(ours) = token(&bytes) {
                let theirs = AuthenticateResponse::decode(&bytes[..]).unwrap();
                prop_assert_eq!(ours, theirs.token);
            }
        }
    }
}

#[test]
fn a_kind_of_event_has_32_bits() {
    let event = [b"\x08\x81\x80\x80\x80\x10\x12\x14\x0a\x12", KEY.as_bytes()].concat();
    let mut response = Vec::new();
    put_bytes(11, &event, &mut response);
    let theirs = WatchResponse::decode(&response[..]).unwrap();
    assert_eq!((theirs.events[0].kind, Watched::read(&response, KEY)), (1, Ok(our_watched(&theirs))));
}

#[test]
fn another_key_than_ours_is_not_taken_for_the_absence_of_ours() {
    let kv = PbKeyValue { key: b"other".to_vec(), ..PbKeyValue::default() };
    let response = RangeResponse { kvs: vec![kv], ..RangeResponse::default() };
    assert_eq!(Range::read(&response.encode_to_vec(), KEY), Err(Malformed));
}
