//! Whether the process lives (`/healthz`) and whether it can serve (`/readyz`). Neither says anything secret.

use http::StatusCode;
use serde::Serialize;

/// One part of the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// A stable name: `store`, `clock`, `keys`.
    pub name: &'static str,
    /// Whether it is as it should be.
    pub ok: bool,
    /// A sentence for people if it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
}

/// The answer of `/healthz` or `/readyz`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Health {
    /// `ok` or `unavailable`.
    pub status: &'static str,
    /// What was looked at; empty for `/healthz`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Check>,
}

/// What readiness depends on.
#[derive(Clone, Copy, Debug)]
pub struct State {
    /// Why the store takes no writes, if it takes none ([`crate::store::Engine::write_refusal`]).
    pub write_refusal: Option<&'static str>,
    /// Whether the store answered a read.
    pub store_reads: bool,
    /// Whether the clock stands behind its high-water mark (FAIL-03).
    pub clock_is_behind: bool,
    /// Whether there is a key to sign tokens with.
    pub has_signing_key: bool,
}

impl Health {
    /// Answers `/healthz`: whoever can read this, the process lives.
    pub fn alive() -> Self {
        Health { status: "ok", checks: Vec::new() }
    }

    /// Answers `/readyz`.
    pub fn ready(state: State) -> Self {
        let store = match (state.store_reads, state.write_refusal) {
            (false, _) => Some("The store does not answer."),
            (true, refusal) => refusal,
        };
        let clock =
            state.clock_is_behind.then_some("The clock of this machine is behind; no tokens are issued.");
        let keys = (!state.has_signing_key).then_some("There is no key to sign tokens with.");
        let checks: Vec<Check> = [("store", store), ("clock", clock), ("keys", keys)]
            .into_iter()
            .map(|(name, reason)| Check { name, ok: reason.is_none(), reason })
            .collect();
        let is_ready = checks.iter().all(|check| check.ok);
        Health { status: if is_ready { "ok" } else { "unavailable" }, checks }
    }

    /// Returns 200 or 503.
    pub fn code(&self) -> StatusCode {
        if self.status == "ok" { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FINE: State =
        State { write_refusal: None, store_reads: true, clock_is_behind: false, has_signing_key: true };

    #[test]
    fn a_sound_instance_is_ready() {
        let health = Health::ready(FINE);
        assert_eq!(health.code(), StatusCode::OK);
        assert_eq!(
            serde_json::to_string(&health).unwrap(),
            r#"{"status":"ok","checks":[{"name":"store","ok":true},{"name":"clock","ok":true},{"name":"keys","ok":true}]}"#
        );
        assert_eq!(serde_json::to_string(&Health::alive()).unwrap(), r#"{"status":"ok"}"#);
    }

    /// FAIL-02, FAIL-03: each thing that stops the service from doing its work makes it unready.
    #[test]
    fn each_fault_alone_makes_it_unready() {
        for (state, name) in [
            (State { write_refusal: Some("The disk is full."), ..FINE }, "store"),
            (State { store_reads: false, ..FINE }, "store"),
            (State { clock_is_behind: true, ..FINE }, "clock"),
            (State { has_signing_key: false, ..FINE }, "keys"),
        ] {
            let health = Health::ready(state);
            assert_eq!(health.code(), StatusCode::SERVICE_UNAVAILABLE);
            let bad: Vec<_> =
                health.checks.iter().filter(|check| !check.ok).map(|check| check.name).collect();
            assert_eq!(bad, [name]);
        }
    }
}
