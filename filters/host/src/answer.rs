//! How an exchange was answered, for filters that judge the service by it.

use crate::{Attribute, AttributeList, Exchange, Vm};
use std::rc::Rc;

/// How an exchange was answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AnswerFacts {
    /// The HTTP status that was sent downstream; `None` where none was.
    pub status: Option<u16>,
    /// `grpc-status`; where the exchange was not gRPC, what the proxy makes of the HTTP status.
    pub grpc_status: Option<i64>,
    /// What the proxy says of its ending; `None` where nobody asked.
    pub ending: Option<EndingFacts>,
}

/// What the proxy says of how an exchange ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndingFacts {
    /// Envoy's `response.flags`.
    pub flags: u64,
    /// Envoy's `response.code_details`; empty where there are none.
    pub code_details: Rc<[u8]>,
}

/// What is to be known of answers; see [`Exchange::answer`]. Make it when the filter is configured.
#[derive(Clone, Debug)]
pub struct AnswerList {
    attributes: AttributeList,
    with_ending: bool,
}

/// Without a status there was no answer, and nothing else is worth knowing.
const STATUSES: [Attribute; 2] = [Attribute::Needed("response.code"), Attribute::Proxy("response.grpc_status")];

const WITH_ENDING: [Attribute; 4] = [
    Attribute::Needed("response.code"),
    Attribute::Proxy("response.grpc_status"),
    Attribute::Needed("response.flags"),
    Attribute::Proxy("response.code_details"),
];

impl AnswerList {
    /// The statuses alone.
    pub fn statuses(vm: &Vm) -> AnswerList {
        AnswerList { attributes: vm.attribute_list(&STATUSES), with_ending: false }
    }

    /// With what the proxy says of the ending.
    pub fn with_ending(vm: &Vm) -> AnswerList {
        AnswerList { attributes: vm.attribute_list(&WITH_ENDING), with_ending: true }
    }
}

impl Exchange {
    /// How it was answered. Only once it is over. One hostcall where no filter of this module has found out yet.
    pub fn answer(&mut self, list: &AnswerList) -> AnswerFacts {
        let known = self.facts.answer.as_ref().filter(|answer| answer.ending.is_some() || !list.with_ending);
        if let Some(answer) = known {
            return answer.clone();
        }
        let values = self.attributes(&list.attributes);
        let mut values = values.take();
        let status = values.integer().and_then(|status| u16::try_from(status).ok());
        let answer = AnswerFacts {
            status: status.filter(|status| *status != 0),
            grpc_status: values.integer(),
            ending: list.with_ending.then(|| EndingFacts {
                flags: values.integer().map_or(0, i64::cast_unsigned),
                code_details: values.bytes().unwrap_or_default().into(),
            }),
        };
        self.facts.answer = Some(answer.clone());
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::double::Double;
    use sluicegate_policy::Service;

    #[test]
    fn an_answer_is_read_once_and_again_only_for_more() {
        let proxy = Double::new();
        proxy.set("response\0code", 503i64.to_le_bytes());
        proxy.set("response\0grpc_status", 14i64.to_le_bytes());
        proxy.set("response\0flags", 4i64.to_le_bytes());
        proxy.set("response\0code_details", *b"timeout");
        let vm = Rc::new(Vm::new(proxy, Service::default()).unwrap());
        let (statuses, with_ending) = (AnswerList::statuses(&vm), AnswerList::with_ending(&vm));
        let mut exchange = Exchange::new(proxy, vm);
        let brief = exchange.answer(&statuses);
        assert_eq!(brief, AnswerFacts { status: Some(503), grpc_status: Some(14), ending: None });
        let ending = EndingFacts { flags: 4, code_details: (*b"timeout").into() };
        let whole = AnswerFacts { ending: Some(ending), ..brief };
        assert_eq!(exchange.answer(&with_ending), whole);
        let calls = proxy.calls().len();
        assert_eq!((exchange.answer(&statuses), exchange.answer(&with_ending)), (whole.clone(), whole));
        assert_eq!(proxy.calls().len(), calls);
    }
}
