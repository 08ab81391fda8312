//! The page of the wizard that asks where Doorward lives: the address, its checks, the proxy in front, and what the
//! visitor's browser sent to the address.

use std::net::IpAddr;

use http::{HeaderName, StatusCode};

use super::pages::{Here, enter, field_errors, insecure_visit};
use super::sightings::Arrival;
use super::{Setup, checks, is_forwarded, looks, names_visitor};
use crate::http::address::host_matches;
use crate::http::{Problem, Reply, Request};
use crate::kernel::time::Timestamp;
use crate::sign_in::api::visit;
use crate::sign_in::frames;
use crate::site::{Origin, Setting};
use crate::views::FieldErrors;
use crate::views::setup::{self as views, Step};

/// `GET /setup/address`.
pub async fn show_address(room: &Setup, request: &Request) -> Result<Reply, Problem> {
    let here = match enter(room, request, Step::Address)? {
        Ok(here) => here,
        Err(reply) => return Ok(reply),
    };
    let site = &room.sign_in.site;
    let seen = request.client.origin().unwrap_or_else(|| site.origin().text);
    let origin = if site.is_origin_set() { site.origin().text } else { seen };
    let typed = TypedAddress {
        origin,
        cookie_domain: site.protected_domain().unwrap_or_default(),
        browser_time: None,
        is_checked: false,
    };
    address_page(&here, &typed, FieldErrors::none()).await
}

struct TypedAddress {
    origin: String,
    cookie_domain: String,
    browser_time: Option<Timestamp>,
    is_checked: bool,
}

async fn address_page(here: &Here<'_>, typed: &TypedAddress, errors: FieldErrors) -> Result<Reply, Problem> {
    let (room, request) = (here.room, here.request);
    let site = &room.sign_in.site;
    let client = &request.client;
    let host = client.host.as_deref().unwrap_or_default();
    let candidate = if site.is_fixed(Setting::PublicOrigin) {
        Some(site.origin())
    } else {
        Origin::parse(&typed.origin).ok()
    };
    let is_elsewhere =
        |origin: &Origin| !host_matches(&origin.text, host) || origin.is_https != client.is_https;
    let (mut checks, mut through) = (Vec::new(), None);
    let (mut probe_url, mut continue_at, mut seen_url, mut is_probe_due) = (None, None, String::new(), false);
    if let Some(origin) = candidate.as_ref().filter(|_| typed.is_checked) {
        let (nonce, arrival) =
            room.probes.prepare(&origin.text, &room.sign_in.random, room.sign_in.clock.monotonic());
        // This machine looks under another nonce, so that it is not taken for the visitor.
        through = arrival.as_ref().filter(|arrival| arrival.is_forwarded || arrival.is_trusted_peer).map(
            |arrival| views::ProxyQuestion {
                peer: arrival.peer.to_string(),
                is_trusted: arrival.is_trusted_peer,
            },
        );
        let own = room.probes.prepare(
            &format!("{} itself", origin.text),
            &room.sign_in.random,
            room.sign_in.clock.monotonic(),
        );
        let own_path = format!("/setup/probe/{}", own.0);
        let (names, seen) = tokio::join!(looks::names(origin), room.look_at(origin, &own_path));
        checks = checks::address(&checks::AddressFacts {
            t: request.words(),
            names,
            seen,
            origin,
            host,
            is_https: client.is_https,
            is_local: client.is_local(),
            client: client.ip,
            peer: client.peer,
            is_trusted_peer: client.is_trusted_peer,
            is_forwarded: is_forwarded(request),
            names_visitor: names_visitor(request),
            browser_time: typed.browser_time,
            now: request.now,
            arrival: arrival.as_ref(),
            allows_insecure_http: site.allows_insecure_http(),
        });
        if is_elsewhere(origin) {
            probe_url = Some(format!("{}/setup/probe/{nonce}", origin.text));
            seen_url = format!("/setup/seen?probe={nonce}");
            is_probe_due = arrival.is_none();
            let works = arrival.as_ref().is_some_and(|arrival| fits(origin, arrival));
            continue_at = works.then(|| format!("{}/setup", origin.text));
        }
    }
    let asked_about = |peer: IpAddr, is_trusted| views::ProxyQuestion { peer: peer.to_string(), is_trusted };
    // The proxy of this request, or the one that the probe came through.
    let proxy = (is_forwarded(request) || client.is_trusted_peer)
        .then(|| asked_about(client.peer, client.is_trusted_peer))
        .or(through);
    let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let page = views::Address {
        frame: here.frame(request.words().setup_address_title()),
        steps: here.steps(Step::Address),
        origin: candidate.as_ref().map_or_else(|| typed.origin.clone(), |origin| origin.text.clone()),
        cookie_domain: typed.cookie_domain.clone(),
        checks,
        proxy,
        insecure: insecure_visit(room, request),
        continue_at,
        probe_url: probe_url.clone(),
        seen_url,
        is_probe_due,
        passkeys_at: room.passkeys_at(),
        errors,
    };
    let reply = here.page(status, &page)?;
    Ok(match (probe_url, candidate) {
        (Some(_), Some(origin)) => reply.with_connect_target(origin.text),
        _ => reply,
    })
}

fn fits(origin: &Origin, arrival: &Arrival) -> bool {
    arrival.host.as_deref().is_some_and(|host| host_matches(&origin.text, host))
        && arrival.is_https == origin.is_https
}

/// `POST /setup/address`: `check` looks, `trust-proxy` believes the proxy, anything else keeps the address.
pub async fn address(room: &Setup, request: &Request) -> Result<Reply, Problem> {
    let here = match enter(room, request, Step::Address)? {
        Ok(here) => here,
        Err(reply) => return Ok(reply),
    };
    let form = here.form()?;
    let visit = visit(&room.sign_in, request)?;
    if form.text("action") == "trust-proxy" {
        let own = request.client.peer;
        let peer = form.text("peer").parse::<IpAddr>().unwrap_or(own);
        let is_own = peer == own && is_forwarded(request) && !request.client.is_trusted_peer;
        // Nobody is trusted who was not seen to pass a visitor on.
        if is_own || room.probes.came_through(peer) {
            room.trust_proxy(peer, here.wizard.owner, &visit).await?;
            room.probes.forget_arrivals();
        }
        return Ok(here.keep(Reply::see_other(Step::Address.path())));
    }
    let typed = TypedAddress {
        origin: form.text("origin").trim().to_owned(),
        cookie_domain: form.text("cookie_domain").trim().to_owned(),
        browser_time: form.text("browser_time").parse().ok().map(Timestamp::from_millis),
        is_checked: true,
    };
    let accepts = form.text("accept_insecure") == "yes" || (here.owner.is_some() && !here.is_insecure());
    let mut errors = FieldErrors::none();
    let judged = room.judge_address(&typed.origin, &typed.cookie_domain, accepts);
    if form.text("action") == "check" {
        // Only looking: the box need not be ticked for that.
        if let Err(problem) = room.judge_address(&typed.origin, &typed.cookie_domain, true) {
            errors = field_errors(problem, request.words())?;
        }
        return address_page(&here, &typed, errors).await;
    }
    if form.text("action") == "skip" && !here.is_insecure() {
        room.commit_progress(|record| record.is_addressed = true, |_| Ok(())).await?;
        return here.go_on();
    }
    if here.is_insecure() && !accepts {
        errors.push("accept_insecure", request.words().setup_insecure_refused());
        return address_page(&here, &typed, errors).await;
    }
    let judged = match judged {
        Ok(judged) => judged,
        Err(problem) => {
            return address_page(&here, &typed, field_errors(problem, request.words())?).await;
        }
    };
    room.set_address(&judged, here.wizard.owner, &visit).await?;
    if here.is_insecure() {
        room.wizards.update(here.token, |wizard| wizard.accepts_insecure = true);
    }
    here.go_on()
}

/// `GET /setup/probe/{nonce}`: the visitor's browser tries the public address. Any host is fine here: which one
/// arrives is what the probe is for. It says nothing about this Doorward.
pub async fn probe(room: &Setup, request: &Request) -> Result<Reply, Problem> {
    let nonce = request.param("nonce");
    if room.is_finished() && !room.probes.is_awaited(nonce, room.sign_in.clock.monotonic()) {
        return Err(Problem::not_found());
    }
    room.probes.arrived(nonce, request);
    // Somebody who followed the link, because there are no scripts.
    if request.wants_html() {
        let t = request.words();
        let mut frame = frames::anonymous(&room.sign_in.site, request, t.setup_probed_title());
        // Whoever asks is told nothing of this place.
        "Doorward".clone_into(&mut frame.instance_name);
        return Reply::html(StatusCode::OK, &views::Probed { frame });
    }
    // The page that asks has another origin and reads nothing; without this its browser would call it a failure.
    let policy = HeaderName::from_static("cross-origin-resource-policy");
    Ok(Reply::no_content().with(policy, http::HeaderValue::from_static("cross-origin")))
}

/// `GET /setup/seen`: `probe=NONCE` asks whether that arrived, `app` for a word that changes with what the proxy of the
/// first app has asked. For the scripts of the wizard's own pages.
pub async fn seen(room: &Setup, request: &Request) -> Result<Reply, Problem> {
    let here = Here::find(room, request)?.ok_or_else(Problem::not_found)?;
    let answer = match (request.query("probe"), &here.progress.app_host) {
        (Some(nonce), _) => serde_json::json!({ "seen": room.probes.has_arrived(&nonce) }),
        (None, Some(host)) => serde_json::json!({ "seen": room.watch.seen(host).state() }),
        (None, None) => return Err(Problem::not_found()),
    };
    Ok(Reply::json(StatusCode::OK, &answer))
}
