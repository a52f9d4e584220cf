//! A filter that does whatever a request asks for in `x-probe`, to try the host's side of the bargain in a real proxy:
//! the end-to-end tests load it. Also an example of everything that a filter may do.

#![cfg(target_os = "wasi")]

use sluicegate_host::{
    Callbacks, Callout, CalloutResponse, CalloutToken, Exchange, Filter, Flow, GrpcStatus, HostError, Level,
    LocalReply, Problem, Rejected, RequestId, Vm, shared,
};
use sluicegate_policy::Document;
use std::cell::Cell;
use std::time::Duration;

sluicegate_host::plugin!(Probe);

const COUNTER: &str = "probe.counter";

struct Probe {
    /// A callout was asked for and is sent on the next tick.
    call_wanted: Cell<bool>,
    /// The status of the last callout's answer; 0 for none.
    callout_status: Cell<u16>,
    service_name: String,
}

impl Filter for Probe {
    const NAME: &'static str = "probe";
    const CALLBACKS: Callbacks = Callbacks::REQUEST_HEADERS
        .and(Callbacks::RESPONSE_HEADERS)
        .and(Callbacks::LOG)
        .and(Callbacks::CALLOUT_RESPONSE);

    fn configure(_document: &Document<'_>, vm: &Vm) -> Result<Probe, Rejected> {
        shared::ensure(vm.host(), COUNTER, b"0")?;
        Ok(Probe {
            call_wanted: Cell::new(false),
            callout_status: Cell::new(0),
            service_name: vm.service().name.clone().unwrap_or_default(),
        })
    }

    fn on_request_headers(&self, exchange: &mut Exchange) -> Flow {
        exchange.facts.request_id = RequestId::handed_over(exchange, "x-request-id");
        let asked = exchange.request_headers().get("x-probe").unwrap_or_default().into_owned();
        let answer = match asked.as_slice() {
            b"reply" => return exchange.reply(&busy()),
            b"direction" => exchange.direction().as_str().to_owned(),
            b"service" => self.service_name.clone(),
            b"shared" => count(exchange.vm()),
            b"callout" => {
                self.call_wanted.set(true);
                String::new()
            }
            b"callout-status" => self.callout_status.get().to_string(),
            b"random" => format!("{:x?}", exchange.vm().entropy().bytes::<16>()),
            b"now" => format!("{:?}", exchange.vm().now()),
            b"source" => format!("{:?}", exchange.text_property("source\0address")),
            b"property" => {
                let path = exchange.request_headers().get("x-probe-path").unwrap_or_default();
                let path = String::from_utf8_lossy(&path).replace('/', "\0");
                format!("{:?}", exchange.property(&path))
            }
            b"reroute" => {
                exchange.request_headers_mut().set("x-route", "elsewhere");
                // The route is picked anew from the headers as they are in the proxy, so they are written first.
                exchange.request_headers_mut().write_now().and_then(|()| exchange.clear_route_cache()).into_text()
            }
            _ => String::new(),
        };
        exchange.request_headers_mut().set("x-probe-answer", answer);
        Flow::Continue
    }

    fn on_response_headers(&self, exchange: &mut Exchange) {
        exchange.response_headers_mut().set("x-probe", "seen");
    }

    fn on_log(&self, exchange: &mut Exchange) {
        let code = exchange.integer_property("response\0code").unwrap_or(0);
        let had_request = exchange.request_headers().get(":path").is_some();
        exchange.vm().log(Level::Info, &format!("probe: logged {code}, request headers {had_request}"));
        let line = format!(r#"{{"code":{code}}}"#);
        if let Err(error) = exchange.set_filter_state("probe", line.as_bytes()) {
            exchange.vm().log(Level::Error, &error.to_string());
        }
    }

    fn on_tick(&self, vm: &Vm) {
        if self.call_wanted.take() {
            vm.log(Level::Info, &format!("probe: {}", call(vm)));
        }
    }

    fn on_callout_response(&self, _token: CalloutToken, response: &CalloutResponse<'_>, vm: &Vm) {
        let body = response.body(1024).unwrap_or_default();
        vm.log(Level::Info, &format!("probe: callout {:?}, {} bytes", response.status(), body.len()));
        self.callout_status.set(response.status().unwrap_or(0));
    }
}

fn busy() -> Problem {
    Problem {
        status: 503,
        grpc_status: GrpcStatus::Unavailable,
        code: "PROBE_BUSY",
        reply: LocalReply::RateLimited,
        title: "The probe is busy",
        detail: "asked by \"x-probe\"".into(),
        details: [("limit".to_owned(), 1.into())].into_iter().collect(),
        headers: vec![("retry-after".into(), "1".into())],
    }
}

fn count(vm: &Vm) -> String {
    let mut count = 0;
    let updated = shared::update(vm.host(), COUNTER, |bytes| {
        let current: u64 = std::str::from_utf8(bytes).ok()?.parse().ok()?;
        count = current.saturating_add(1);
        Some(count.to_string().into_bytes())
    });
    match updated {
        Ok(()) => count.to_string(),
        Err(error) => format!("{error:?}"),
    }
}

fn call(vm: &Vm) -> String {
    let callout = |cluster| Callout {
        cluster,
        method: "GET",
        path: "/callout",
        authority: "upstream",
        headers: &[],
        body: b"",
        timeout: Duration::from_secs(1),
    };
    let absent = vm.call(&callout("no such cluster"));
    let sent = vm.call(&callout("upstream"));
    format!("absent: {}, sent: {}", absent.into_text(), sent.into_text())
}

trait IntoText {
    fn into_text(self) -> String;
}

impl<T> IntoText for Result<T, HostError> {
    fn into_text(self) -> String {
        match self {
            Ok(_) => "ok".to_owned(),
            Err(error) => error.to_string(),
        }
    }
}
