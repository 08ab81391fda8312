use std::time::Duration;

use http::StatusCode;

use super::*;

fn render(metrics: &Metrics) -> String {
    metrics.render(Sample { store_is_writable: true, users: 3, ..Sample::default() }, 1024)
}

/// Returns the value of a line such as `doorward_lockouts_total 3`.
fn value(text: &str, series: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

#[test]
fn what_is_counted_is_shown() {
    let metrics = Metrics::new();
    metrics.token_created(Duration::from_micros(30));
    metrics.token_validated(Duration::from_micros(2));
    metrics.token_validated(Duration::from_micros(60));
    metrics.token_expired();
    metrics.token_invalid(TokenFault::BadSignature);
    metrics.token_refreshed(Duration::from_millis(4));
    metrics.refresh_failed(RefreshFault::Reused);
    metrics.sign_in(SignIn::SecondFactorRefused);
    metrics.locked_out();
    metrics.rate_limited("sign_in");
    metrics.http_request(Route::ForwardAuth, StatusCode::UNAUTHORIZED);
    let text = render(&metrics);
    for (series, expected) in [
        ("doorward_tokens_created_total", 1.0),
        ("doorward_tokens_validated_total", 2.0),
        ("doorward_tokens_expired_total", 1.0),
        ("doorward_tokens_refreshed_total", 1.0),
        ("doorward_tokens_invalid_total{reason=\"bad_signature\"}", 1.0),
        ("doorward_tokens_invalid_total{reason=\"malformed\"}", 0.0),
        ("doorward_refresh_failures_total{reason=\"reused\"}", 1.0),
        ("doorward_sign_ins_total{result=\"second_factor_refused\"}", 1.0),
        ("doorward_lockouts_total", 1.0),
        ("doorward_rate_limited_total{policy=\"sign_in\"}", 1.0),
        ("doorward_http_requests_total{route=\"forward_auth\",status=\"4xx\"}", 1.0),
        ("doorward_token_validation_seconds_count", 2.0),
        ("doorward_token_validation_seconds_bucket{le=\"0.000005\"}", 1.0),
        ("doorward_users", 3.0),
        ("doorward_store_writable", 1.0),
        ("process_resident_memory_bytes", 1024.0),
    ] {
        assert_eq!(value(&text, series), Some(expected), "{series} in\n{text}");
    }
    assert!(text.contains(concat!("doorward_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1")));
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn a_status_outside_every_class_is_still_counted() {
    let metrics = Metrics::new();
    metrics.http_request(Route::Unknown, StatusCode::from_u16(999).unwrap());
    assert_eq!(
        value(&render(&metrics), "doorward_http_requests_total{route=\"unknown\",status=\"5xx\"}"),
        Some(1.0)
    );
}

/// ADM-06: the number of series is fixed by the code, so no request can grow them.
#[test]
fn the_number_of_series_does_not_grow_with_traffic() {
    let metrics = Metrics::new();
    let series = |text: &str| text.lines().filter(|line| !line.starts_with('#')).count();
    let before = series(&render(&metrics));
    for status in 100..1000 {
        for route in Route::ALL {
            metrics.http_request(*route, StatusCode::from_u16(status).unwrap());
        }
    }
    assert_eq!(series(&render(&metrics)), before);
    assert!(before < 200, "{before}");
}

/// Every alert asks for what there is, compares what has the same labels, and can be reached.
#[test]
fn alerts_can_fire() {
    use crate::crypto::password::HashSettings;

    let text = render(&Metrics::new());
    let rules = include_str!("../../packaging/prometheus/alerts.yml");
    let mut queue = None;
    for rule in rules.lines().filter_map(|line| line.trim().strip_prefix("expr: ")) {
        for name in rule.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_')) {
            let family = name.trim_end_matches("_total").trim_end_matches("_bucket");
            let is_known = !name.starts_with("doorward_") || text.contains(&format!("# TYPE {family} "));
            assert!(is_known, "{name} in {rule}");
        }
        if rule.contains("sum(") {
            let (all, summed) = (rule.matches("rate(").count(), rule.matches("sum(rate(").count());
            assert_eq!(all, summed, "sums have no labels, and what they are compared with has: {rule}");
        }
        if let Some(least) = rule.strip_prefix("doorward_hash_queue_length > ") {
            queue = least.parse::<usize>().ok();
        }
    }
    let shortest = HashSettings { threads: 1, ..HashSettings::default() };
    assert!(queue.is_some_and(|least| least < shortest.threads * shortest.queue_per_thread), "{queue:?}");
}
