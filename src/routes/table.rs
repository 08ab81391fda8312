//! The table. One row a route; a test walks it with every kind of caller (GEN-06).

use std::future::ready;

use http::StatusCode;

use super::between::{apps_of, arrive, count_apps, desk, home, names_of_apps, stays_of};
use super::{Action, Method2, Route, preferences};
use crate::access::{Dialect, Endpoint};
use crate::admin::{
    api as admin, app_new, app_pages, app_test, app_token_api as admin_app_tokens, audit_pages, client_api,
    domain_pages, domains, group_api, group_pages, invitation_api, invitation_pages,
    passkeys as admin_passkeys, people_pages, person_api, person_deeds, person_pages,
    profiles as admin_profiles, rule_pages, scope_pages, system_api,
};
use crate::http::Reply;
use crate::my_account::{
    activity as account_activity, api as account, export, pages as account_pages, passkey_api, passkey_pages,
    profile_api,
};
use crate::oidc::{self, account_api as account_apps, account_pages as account_app_pages};
use crate::operations::health::Health;
use crate::operations::system::{api as system, pages as system_pages};
use crate::programs::{api as app_tokens, pages as app_token_pages};
use crate::sessions::handoff::PORTAL_PATH;
use crate::setup::{backup, checklist, pages as setup, restore};
use crate::sign_in::{api as sign_in, authelia_api, join_pages, pages as sign_in_pages, step_up_pages};

use super::kinds::{
    api, document, first_start, from_other_sites, from_own_pages, in_turn, limited_inside, oauth, oauth_json,
    over_plain_http, page, proxy, with_attributes, with_large_body, with_target, with_upload,
};
use Method2::{Any, Delete, Get, Options, Patch, Post, Put};

macro_rules! open {
    ($handler:path, $room:ident) => {
        Action::Open(|app, request| Box::pin($handler(&app.$room, request)))
    };
}

macro_rules! maybe {
    ($handler:path, $room:ident) => {
        Action::Maybe(|app, request, caller| Box::pin($handler(&app.$room, request, caller)))
    };
}

macro_rules! signed_in {
    ($guard:ident, $handler:path, $room:ident) => {
        Action::$guard(|app, request, caller| Box::pin($handler(&app.$room, request, caller)))
    };
}

/// Of a signed-in caller, with what another room knows about them.
macro_rules! signed_in_with {
    ($guard:ident, $handler:path, $room:ident, $more:path) => {
        Action::$guard(|app, request, caller| {
            Box::pin(async move {
                let more = $more(app, caller).await?;
                $handler(&app.$room, request, caller, more).await
            })
        })
    };
}

/// Every route there is.
pub static ROUTES: &[Route] = &[
    // -- sign-in, for programs
    in_turn(limited_inside(api(Post, "/api/v1/users", open!(sign_in::register, sign_in)))),
    in_turn(from_own_pages(limited_inside(api(
        Post,
        "/api/v1/auth/login/web",
        open!(sign_in::login_web, sign_in),
    )))),
    in_turn(limited_inside(api(Post, "/api/v1/auth/login/api", open!(sign_in::login_api, sign_in)))),
    in_turn(from_own_pages(limited_inside(api(
        Post,
        "/api/v1/auth/mfa/web",
        open!(sign_in::mfa_web, sign_in),
    )))),
    in_turn(limited_inside(api(Post, "/api/v1/auth/mfa/api", open!(sign_in::mfa_api, sign_in)))),
    limited_inside(api(Post, "/api/v1/auth/passkey/options", open!(sign_in::passkey_options, sign_in))),
    in_turn(from_own_pages(limited_inside(api(
        Post,
        "/api/v1/auth/passkey/web",
        open!(sign_in::passkey_web, sign_in),
    )))),
    in_turn(limited_inside(api(Post, "/api/v1/auth/passkey/api", open!(sign_in::passkey_api, sign_in)))),
    from_own_pages(api(Post, "/api/v1/auth/refresh/web", open!(sign_in::refresh_web, sign_in))),
    api(Post, "/api/v1/auth/refresh/api", open!(sign_in::refresh_api, sign_in)),
    over_plain_http(api(Post, "/api/v1/auth/validate", open!(sign_in::validate, sign_in))),
    api(Post, "/api/v1/auth/logout", signed_in!(User, sign_in::logout, sign_in)),
    api(Post, "/api/v1/auth/logout/all", signed_in!(User, sign_in::logout_all, sign_in)),
    api(Post, "/api/v1/auth/step-up", signed_in!(User, sign_in::step_up, sign_in)),
    api(Post, "/api/v1/auth/step-up/options", signed_in!(User, sign_in::step_up_options, sign_in)),
    over_plain_http(api(Get, "/api/v1/keys", open!(sign_in::public_keys, sign_in))),
    // -- sign-in, for people
    page(Get, "/signin", maybe!(sign_in_pages::show, sign_in)),
    in_turn(with_target(page(Post, "/signin", open!(sign_in_pages::submit, sign_in)))),
    in_turn(with_target(page(Post, "/signin/passkey", open!(sign_in_pages::submit_passkey, sign_in)))),
    page(Get, "/signin/second-factor", open!(sign_in_pages::show_second_factor, sign_in)),
    in_turn(page(Post, "/signin/second-factor", open!(sign_in_pages::submit_second_factor, sign_in))),
    page(Get, "/signin/recovery", open!(sign_in_pages::show_recovery, sign_in)),
    in_turn(page(Post, "/signin/recovery", open!(sign_in_pages::submit_recovery, sign_in))),
    page(Get, "/signin/enrol", open!(sign_in_pages::show_enrolment, sign_in)),
    page(Post, "/signin/enrol", open!(sign_in_pages::submit_enrolment, sign_in)),
    with_target(page(Post, "/signin/recovery-codes", open!(sign_in_pages::leave_recovery_codes, sign_in))),
    page(Get, "/signout", maybe!(sign_in_pages::show_sign_out, sign_in)),
    with_target(page(Post, "/signout", signed_in!(Browser, sign_in_pages::sign_out, sign_in))),
    page(Get, "/step-up", signed_in!(Browser, step_up_pages::show_step_up, sign_in)),
    with_target(page(Post, "/step-up", signed_in!(Browser, step_up_pages::submit_step_up, sign_in))),
    page(Get, "/link/{secret}", open!(join_pages::show_link, sign_in)),
    in_turn(page(Post, "/link/{secret}", open!(join_pages::submit_link, sign_in))),
    page(Get, "/register", open!(join_pages::show_registration, sign_in)),
    in_turn(page(Post, "/register", open!(join_pages::submit_registration, sign_in))),
    // -- language and colors, also before there is an owner
    first_start(
        Post,
        "/preferences",
        Action::Open(|app, request| Box::pin(preferences::submit(app, request))),
    ),
    // -- one's own account, for programs
    api(Get, "/api/v1/users/me", Action::Glance(|app, _, caller| Ok(account::show(&app.my_account, caller)))),
    api(Patch, "/api/v1/users/me", signed_in!(User, account::change, my_account)),
    api(Delete, "/api/v1/users/me", signed_in!(User, account::delete, my_account)),
    api(Get, "/api/v1/users/me/profile", signed_in!(User, profile_api::show, my_account)),
    api(Patch, "/api/v1/users/me/profile", signed_in!(User, profile_api::change, my_account)),
    api(Post, "/api/v1/users/me/password", signed_in!(User, account::change_password, my_account)),
    api(Post, "/api/v1/users/me/totp", signed_in!(User, account::begin_totp, my_account)),
    api(Post, "/api/v1/users/me/totp/confirm", signed_in!(User, account::confirm_totp, my_account)),
    api(Delete, "/api/v1/users/me/totp", signed_in!(User, account::remove_totp, my_account)),
    api(Post, "/api/v1/users/me/recovery-codes", signed_in!(User, account::renew_recovery_codes, my_account)),
    api(Get, "/api/v1/users/me/passkeys", signed_in!(User, passkey_api::list, my_account)),
    api(Post, "/api/v1/users/me/passkeys", signed_in!(User, passkey_api::add, my_account)),
    api(Post, "/api/v1/users/me/passkeys/options", signed_in!(User, passkey_api::options, my_account)),
    api(Patch, "/api/v1/users/me/passkeys/{passkey}", signed_in!(User, passkey_api::rename, my_account)),
    api(Delete, "/api/v1/users/me/passkeys/{passkey}", signed_in!(User, passkey_api::remove, my_account)),
    api(Get, "/api/v1/users/me/export", signed_in_with!(User, export::api, my_account, apps_of)),
    api(Get, "/api/v1/users/me/activity", signed_in!(User, account::activity, my_account)),
    api(Get, "/api/v1/sessions", signed_in!(User, account::list_sessions, my_account)),
    api(Delete, "/api/v1/sessions", signed_in!(User, account::end_other_sessions, my_account)),
    api(Delete, "/api/v1/sessions/{handle}", signed_in!(User, account::end_session, my_account)),
    api(Get, "/api/v1/users/me/app-tokens", signed_in!(User, app_tokens::list, sign_in)),
    api(Post, "/api/v1/users/me/app-tokens", signed_in!(User, app_tokens::make, sign_in)),
    api(Delete, "/api/v1/users/me/app-tokens/{token}", signed_in!(User, app_tokens::revoke, sign_in)),
    // -- one's own account, for people
    page(Get, "/", Action::Maybe(|app, request, caller| Box::pin(home(app, request, caller)))),
    page(Get, "/account", signed_in!(Browser, account_pages::show_profile, my_account)),
    page(Post, "/account", signed_in!(Browser, account_pages::submit_profile, my_account)),
    page(Get, "/account/delete", signed_in!(Browser, account_pages::show_delete, my_account)),
    page(Post, "/account/delete", signed_in!(Browser, account_pages::submit_delete, my_account)),
    page(Get, "/account/export", signed_in!(Browser, export::show, my_account)),
    page(Post, "/account/export", signed_in_with!(Browser, export::download, my_account, apps_of)),
    page(
        Get,
        "/account/security",
        signed_in_with!(Browser, account_pages::show_security, my_account, count_apps),
    ),
    page(
        Post,
        "/account/password",
        signed_in_with!(Browser, account_pages::submit_password, my_account, count_apps),
    ),
    page(Get, "/account/apps", signed_in!(Browser, account_app_pages::show, oidc)),
    page(Post, "/account/apps/revoke", signed_in!(Browser, account_app_pages::revoke, oidc)),
    page(Get, "/account/passkeys", signed_in!(Browser, passkey_pages::show, my_account)),
    page(Post, "/account/passkeys", signed_in!(Browser, passkey_pages::add, my_account)),
    page(
        Post,
        "/account/passkeys/rename",
        signed_in_with!(Browser, passkey_pages::rename, my_account, count_apps),
    ),
    page(Post, "/account/passkeys/remove", signed_in!(Browser, passkey_pages::remove, my_account)),
    page(Get, "/account/totp", signed_in!(Browser, account_pages::show_totp, my_account)),
    page(Post, "/account/totp", signed_in!(Browser, account_pages::submit_totp, my_account)),
    page(Post, "/account/totp/remove", signed_in!(Browser, account_pages::remove_totp, my_account)),
    page(
        Post,
        "/account/recovery-codes",
        signed_in!(Browser, account_pages::renew_recovery_codes, my_account),
    ),
    page(
        Get,
        "/account/sessions",
        signed_in_with!(Browser, account_pages::show_sessions, my_account, stays_of),
    ),
    page(Post, "/account/sessions/end", signed_in!(Browser, account_pages::end_session, my_account)),
    page(
        Post,
        "/account/sessions/end-others",
        signed_in!(Browser, account_pages::end_other_sessions, my_account),
    ),
    page(Get, "/account/app-tokens", signed_in!(Browser, app_token_pages::show, sign_in)),
    page(Post, "/account/app-tokens", signed_in!(Browser, app_token_pages::submit, sign_in)),
    page(Post, "/account/app-tokens/revoke", signed_in!(Browser, app_token_pages::revoke, sign_in)),
    page(
        Get,
        "/account/activity",
        signed_in_with!(Browser, account_activity::show, my_account, names_of_apps),
    ),
    // -- the first start; gone once it is finished
    page(Get, "/admin/setup/{step}", signed_in!(AdminBrowser, checklist::resume, setup)),
    page(Post, "/admin/checklist/hide", signed_in!(AdminBrowser, checklist::hide, setup)),
    page(Get, "/admin/backup", signed_in!(AdminBrowser, backup::show, setup)),
    page(Post, "/admin/backup", signed_in!(AdminBrowser, backup::take, setup)),
    api(Get, "/api/v1/admin/checklist", signed_in!(Admin, checklist::list, setup)),
    api(Post, "/api/v1/admin/checklist/hide", signed_in!(Admin, checklist::hide_by_api, setup)),
    api(Post, "/api/v1/admin/backup", signed_in!(Admin, backup::take_by_api, setup)),
    first_start(Get, "/setup", maybe!(setup::show, setup)),
    first_start(Post, "/setup", open!(setup::claim, setup)),
    first_start(Get, "/setup/welcome", open!(setup::show_welcome, setup)),
    first_start(Post, "/setup/welcome", open!(setup::welcome, setup)),
    with_upload(first_start(Post, "/setup/restore", open!(restore::restore, setup))),
    first_start(Get, "/setup/owner", open!(setup::show_owner, setup)),
    first_start(Post, "/setup/owner", open!(setup::owner, setup)),
    first_start(Get, "/setup/address", open!(setup::show_address, setup)),
    first_start(Post, "/setup/address", open!(setup::address, setup)),
    first_start(Get, "/setup/probe/{nonce}", open!(setup::probe, setup)),
    first_start(Get, "/setup/seen", open!(setup::seen, setup)),
    first_start(Get, "/setup/echo", open!(setup::echo, setup)),
    first_start(Get, "/setup/second-factor", open!(setup::show_second_factor, setup)),
    first_start(Post, "/setup/second-factor", open!(setup::second_factor, setup)),
    first_start(Post, "/setup/passkey", open!(setup::passkey, setup)),
    first_start(Get, "/setup/recovery-codes", open!(setup::show_recovery_codes, setup)),
    first_start(Post, "/setup/recovery-codes", open!(setup::recovery_codes, setup)),
    first_start(Get, "/setup/protect", open!(setup::show_protect, setup)),
    first_start(Post, "/setup/protect", open!(setup::protect, setup)),
    first_start(Post, "/setup/done", open!(setup::hide, setup)),
    first_start(Get, "/setup/done", open!(setup::show_done, setup)),
    // -- administration, for programs
    api(Get, "/api/v1/admin/users", signed_in!(Admin, admin::list_people, admin)),
    api(Post, "/api/v1/admin/users", signed_in!(Admin, admin::create_person, admin)),
    api(Get, "/api/v1/admin/users/{id}", signed_in!(Admin, admin::show_person, admin)),
    api(Patch, "/api/v1/admin/users/{id}", signed_in!(Admin, admin::change_person, admin)),
    api(Delete, "/api/v1/admin/users/{id}", signed_in!(Admin, admin::delete_person, admin)),
    api(Get, "/api/v1/admin/users/{id}/profile", signed_in!(Admin, admin_profiles::show, admin)),
    with_attributes(api(
        Patch,
        "/api/v1/admin/users/{id}/profile",
        signed_in!(Admin, admin_profiles::change, admin),
    )),
    api(Post, "/api/v1/admin/users/{id}/disable", signed_in!(Admin, admin::disable_person, admin)),
    api(Post, "/api/v1/admin/users/{id}/enable", signed_in!(Admin, admin::enable_person, admin)),
    api(Post, "/api/v1/admin/users/{id}/link", signed_in!(Admin, admin::make_link, admin)),
    api(
        Post,
        "/api/v1/admin/users/{id}/reset-second-factor",
        signed_in!(Admin, admin::reset_second_factor, admin),
    ),
    api(Post, "/api/v1/admin/users/{id}/sign-out", signed_in!(Admin, admin::sign_person_out, admin)),
    api(Post, "/api/v1/admin/users/{id}/lift", signed_in!(Admin, admin::lift_suspension, admin)),
    api(Get, "/api/v1/admin/users/{id}/app-tokens", signed_in!(Admin, admin_app_tokens::list, admin)),
    api(
        Delete,
        "/api/v1/admin/users/{id}/app-tokens/{token}",
        signed_in!(Admin, admin_app_tokens::revoke, admin),
    ),
    api(Get, "/api/v1/admin/users/{id}/passkeys", signed_in!(Admin, admin_passkeys::list, admin)),
    api(
        Delete,
        "/api/v1/admin/users/{id}/passkeys/{passkey}",
        signed_in!(Admin, admin_passkeys::remove, admin),
    ),
    api(
        Delete,
        "/api/v1/admin/users/{id}/sessions/{handle}",
        signed_in!(Admin, person_api::end_session, admin),
    ),
    api(Get, "/api/v1/admin/users/{id}/consents", signed_in!(Admin, person_api::list_consents, admin)),
    api(
        Delete,
        "/api/v1/admin/users/{id}/consents/{client}",
        signed_in!(Admin, person_api::revoke_consent, admin),
    ),
    api(Get, "/api/v1/admin/invites", signed_in!(Admin, invitation_api::list, admin)),
    api(Post, "/api/v1/admin/invites", signed_in!(Admin, invitation_api::make, admin)),
    api(Delete, "/api/v1/admin/invites/{handle}", signed_in!(Admin, invitation_api::withdraw, admin)),
    api(Get, "/api/v1/admin/groups", signed_in!(Admin, group_api::list_groups, admin)),
    api(Post, "/api/v1/admin/groups", signed_in!(Admin, group_api::create_group, admin)),
    api(Get, "/api/v1/admin/groups/{name}", signed_in!(Admin, group_api::show_group, admin)),
    api(Patch, "/api/v1/admin/groups/{name}", signed_in!(Admin, group_api::rename_group, admin)),
    api(Delete, "/api/v1/admin/groups/{name}", signed_in!(Admin, group_api::delete_group, admin)),
    api(Put, "/api/v1/admin/groups/{name}/members/{user}", signed_in!(Admin, group_api::add_member, admin)),
    api(
        Delete,
        "/api/v1/admin/groups/{name}/members/{user}",
        signed_in!(Admin, group_api::remove_member, admin),
    ),
    api(Get, "/api/v1/admin/rules", signed_in!(Admin, system_api::list_rules, admin)),
    with_large_body(api(Put, "/api/v1/admin/rules", signed_in!(Admin, system_api::put_rules, admin))),
    api(Post, "/api/v1/admin/rules/check", signed_in!(Admin, system_api::check_rules, admin)),
    api(Get, "/api/v1/admin/domains", signed_in!(Admin, domains::list, admin)),
    api(Post, "/api/v1/admin/domains", signed_in!(Admin, domains::add, admin)),
    api(Put, "/api/v1/admin/domains/{domain}", signed_in!(Admin, domains::change, admin)),
    api(Delete, "/api/v1/admin/domains/{domain}", signed_in!(Admin, domains::remove, admin)),
    api(
        Post,
        "/api/v1/admin/doctor",
        Action::Admin(|app, request, caller| {
            Box::pin(async move { desk(app).look_api(request, caller).await })
        }),
    ),
    api(Get, "/api/v1/admin/rules/draft", signed_in!(Admin, system_api::show_draft, admin)),
    with_large_body(api(Put, "/api/v1/admin/rules/draft", signed_in!(Admin, system_api::put_draft, admin))),
    api(Delete, "/api/v1/admin/rules/draft", signed_in!(Admin, system_api::discard_draft, admin)),
    api(Post, "/api/v1/admin/rules/draft/apply", signed_in!(Admin, system_api::apply_draft, admin)),
    api(Get, "/api/v1/admin/audit", signed_in!(Admin, system_api::list_events, admin)),
    api(Get, "/api/v1/admin/audit/export", signed_in!(Admin, system_api::export_events, admin)),
    api(Post, "/api/v1/admin/keys/rotate", signed_in!(Admin, system_api::rotate_keys, admin)),
    api(Post, "/api/v1/admin/keys/apps/rotate", signed_in!(Admin, system::rotate_app_keys, system)),
    api(Get, "/api/v1/admin/keys", signed_in!(Admin, system::list_keys, system)),
    api(Get, "/api/v1/admin/overview", signed_in!(Admin, system::overview, system)),
    api(Get, "/api/v1/admin/settings", signed_in!(Admin, system::list_settings, system)),
    api(Patch, "/api/v1/admin/settings", signed_in!(Admin, system::change_settings, system)),
    api(Get, "/api/v1/admin/backups", signed_in!(Admin, system::list_backups, system)),
    api(Post, "/api/v1/admin/backups", signed_in!(Admin, system::take_backup, system)),
    api(Get, "/api/v1/admin/backups/{name}", signed_in!(Admin, system::read_backup, system)),
    api(Get, "/api/v1/admin/support", signed_in!(Admin, system::support, system)),
    api(Get, "/api/v1/admin/whoami", signed_in!(Admin, system::show_whoami, system)),
    // -- administration, for people
    page(Get, "/admin", signed_in!(AdminBrowser, system_pages::show_overview, system)),
    page(Get, "/admin/system", signed_in!(AdminBrowser, system_pages::show_system, system)),
    page(Post, "/admin/system/name", signed_in!(AdminBrowser, system_pages::rename, system)),
    page(Post, "/admin/system/keys", signed_in!(AdminBrowser, system_pages::rotate_keys, system)),
    page(Post, "/admin/system/backups", signed_in!(AdminBrowser, system_pages::take_backup, system)),
    page(Get, "/admin/system/backups/{name}", signed_in!(AdminBrowser, system_pages::read_backup, system)),
    page(Get, "/admin/system/settings", signed_in!(AdminBrowser, system_pages::show_settings, system)),
    page(Get, "/admin/system/support", signed_in!(AdminBrowser, system_pages::show_support, system)),
    page(Get, "/whoami", signed_in!(AdminBrowser, system_pages::show_whoami, system)),
    page(Get, "/admin/people", signed_in!(AdminBrowser, people_pages::show_people, admin)),
    page(Get, "/admin/people/new", signed_in!(AdminBrowser, people_pages::show_new, admin)),
    page(Post, "/admin/people/new", signed_in!(AdminBrowser, people_pages::submit_new, admin)),
    page(Get, "/admin/people/invite", signed_in!(AdminBrowser, invitation_pages::show_invite, admin)),
    page(Post, "/admin/people/invite", signed_in!(AdminBrowser, invitation_pages::submit_invite, admin)),
    page(Get, "/admin/people/invitations", signed_in!(AdminBrowser, invitation_pages::show_list, admin)),
    page(
        Post,
        "/admin/people/invitations/withdraw",
        signed_in!(AdminBrowser, invitation_pages::withdraw, admin),
    ),
    page(Get, "/admin/people/{id}", signed_in!(AdminBrowser, person_pages::show_person, admin)),
    page(Post, "/admin/people/{id}/profile", signed_in!(AdminBrowser, person_deeds::submit_profile, admin)),
    page(Post, "/admin/people/{id}/claims", signed_in!(AdminBrowser, person_deeds::change_claims, admin)),
    page(Post, "/admin/people/{id}/disable", signed_in!(AdminBrowser, person_deeds::disable, admin)),
    page(Post, "/admin/people/{id}/enable", signed_in!(AdminBrowser, person_deeds::enable, admin)),
    page(
        Post,
        "/admin/people/{id}/reset-second-factor",
        signed_in!(AdminBrowser, person_deeds::reset_second_factor, admin),
    ),
    page(Post, "/admin/people/{id}/link", signed_in!(AdminBrowser, person_deeds::make_link, admin)),
    page(Post, "/admin/people/{id}/sign-out", signed_in!(AdminBrowser, person_deeds::sign_out, admin)),
    page(Post, "/admin/people/{id}/session", signed_in!(AdminBrowser, person_deeds::end_session, admin)),
    page(Post, "/admin/people/{id}/passkey", signed_in!(AdminBrowser, person_deeds::remove_passkey, admin)),
    page(
        Post,
        "/admin/people/{id}/app-token",
        signed_in!(AdminBrowser, person_deeds::revoke_app_token, admin),
    ),
    page(Post, "/admin/people/{id}/consent", signed_in!(AdminBrowser, person_deeds::revoke_consent, admin)),
    page(Post, "/admin/people/{id}/lift", signed_in!(AdminBrowser, person_deeds::lift, admin)),
    page(Post, "/admin/people/{id}/delete", signed_in!(AdminBrowser, person_deeds::delete, admin)),
    page(Get, "/admin/groups", signed_in!(AdminBrowser, group_pages::show_groups, admin)),
    page(Post, "/admin/groups", signed_in!(AdminBrowser, group_pages::create, admin)),
    page(Get, "/admin/groups/{name}", signed_in!(AdminBrowser, group_pages::show_group, admin)),
    page(Post, "/admin/groups/{name}/rename", signed_in!(AdminBrowser, group_pages::rename, admin)),
    page(Post, "/admin/groups/{name}/delete", signed_in!(AdminBrowser, group_pages::delete, admin)),
    page(Post, "/admin/groups/{name}/join", signed_in!(AdminBrowser, group_pages::join, admin)),
    page(Post, "/admin/groups/{name}/leave", signed_in!(AdminBrowser, group_pages::leave, admin)),
    page(Get, "/admin/apps", signed_in!(AdminBrowser, app_pages::show_apps, admin)),
    page(Get, "/admin/apps/new", signed_in!(AdminBrowser, app_new::show_presets, admin)),
    page(
        Get,
        "/admin/apps/new/{preset}",
        Action::AdminBrowser(|app, request, caller| {
            Box::pin(app_new::show_new(&app.admin, request, caller, app.setup.own_url()))
        }),
    ),
    page(Post, "/admin/apps/new/{preset}", signed_in!(AdminBrowser, app_new::submit_new, admin)),
    page(Get, "/admin/apps/{id}", signed_in!(AdminBrowser, app_pages::show_app, admin)),
    page(Post, "/admin/apps/{id}", signed_in!(AdminBrowser, app_pages::submit_app, admin)),
    page(Get, "/admin/apps/{id}/values", signed_in!(AdminBrowser, app_new::show_values, admin)),
    page(Get, "/admin/apps/{id}/test", signed_in!(AdminBrowser, app_test::show_test, admin)),
    page(Post, "/admin/apps/{id}/test", signed_in!(AdminBrowser, app_test::start_test, admin)),
    page(Get, "/admin/apps/{id}/test/done", signed_in!(AdminBrowser, app_test::end_test, admin)),
    page(Get, "/admin/apps/{id}/claims", signed_in!(AdminBrowser, app_test::show_claims, admin)),
    page(Post, "/admin/apps/{id}/secret", signed_in!(AdminBrowser, app_pages::new_secret, admin)),
    page(Post, "/admin/apps/{id}/drop-secret", signed_in!(AdminBrowser, app_pages::drop_secret, admin)),
    page(Post, "/admin/apps/{id}/switch", signed_in!(AdminBrowser, app_pages::switch, admin)),
    page(Get, "/admin/apps/{id}/remove", signed_in!(AdminBrowser, app_pages::ask_to_remove, admin)),
    page(Post, "/admin/apps/{id}/remove", signed_in!(AdminBrowser, app_pages::remove, admin)),
    page(Get, "/admin/scopes", signed_in!(AdminBrowser, scope_pages::show, admin)),
    page(Post, "/admin/scopes", signed_in!(AdminBrowser, scope_pages::put, admin)),
    page(Post, "/admin/scopes/remove", signed_in!(AdminBrowser, scope_pages::remove, admin)),
    page(Post, "/admin/registration-tokens", signed_in!(AdminBrowser, scope_pages::make_token, admin)),
    page(Post, "/admin/registration-tokens/drop", signed_in!(AdminBrowser, scope_pages::drop_tokens, admin)),
    page(Get, "/admin/domains", signed_in!(AdminBrowser, domain_pages::show_domains, admin)),
    page(Post, "/admin/domains", signed_in!(AdminBrowser, domain_pages::submit_new, admin)),
    page(Get, "/admin/domains/{domain}", signed_in!(AdminBrowser, domain_pages::show_domain, admin)),
    page(Post, "/admin/domains/{domain}", signed_in!(AdminBrowser, domain_pages::submit_domain, admin)),
    page(
        Post,
        "/admin/domains/{domain}/remove",
        signed_in!(AdminBrowser, domain_pages::remove_domain, admin),
    ),
    page(Get, "/admin/rules", signed_in!(AdminBrowser, rule_pages::show_rules, admin)),
    page(Get, "/admin/rules/new", signed_in!(AdminBrowser, rule_pages::show_new, admin)),
    page(Post, "/admin/rules/new", signed_in!(AdminBrowser, rule_pages::submit_new, admin)),
    page(Get, "/admin/rules/{id}", signed_in!(AdminBrowser, rule_pages::show_rule, admin)),
    page(Post, "/admin/rules/{id}", signed_in!(AdminBrowser, rule_pages::submit_rule, admin)),
    page(Post, "/admin/rules/draft/apply", signed_in!(AdminBrowser, rule_pages::apply_draft, admin)),
    page(Post, "/admin/rules/draft/discard", signed_in!(AdminBrowser, rule_pages::discard_draft, admin)),
    page(Post, "/admin/rules/{id}/move", signed_in!(AdminBrowser, rule_pages::move_rule, admin)),
    page(Post, "/admin/rules/{id}/remove", signed_in!(AdminBrowser, rule_pages::remove_rule, admin)),
    page(
        Get,
        "/admin/doctor",
        Action::AdminBrowser(|app, request, caller| Box::pin(ready(desk(app).show(request, caller)))),
    ),
    page(
        Post,
        "/admin/doctor",
        Action::AdminBrowser(|app, request, caller| {
            Box::pin(async move { desk(app).submit(request, caller).await })
        }),
    ),
    page(Get, "/admin/audit", signed_in!(AdminBrowser, audit_pages::show_audit, admin)),
    page(Get, "/admin/audit/export", signed_in!(AdminBrowser, audit_pages::export, admin)),
    // -- apps, for administrators
    api(Get, "/api/v1/admin/clients", signed_in!(Admin, client_api::list, admin)),
    with_large_body(api(Post, "/api/v1/admin/clients", signed_in!(Admin, client_api::add, admin))),
    api(Get, "/api/v1/admin/clients/{id}", signed_in!(Admin, client_api::show, admin)),
    api(Get, "/api/v1/admin/clients/{id}/claims", signed_in!(Admin, client_api::preview, admin)),
    api(Get, "/api/v1/admin/presets", signed_in!(Admin, client_api::list_presets, admin)),
    with_large_body(api(Patch, "/api/v1/admin/clients/{id}", signed_in!(Admin, client_api::change, admin))),
    api(Delete, "/api/v1/admin/clients/{id}", signed_in!(Admin, client_api::remove, admin)),
    api(Post, "/api/v1/admin/clients/{id}/secret", signed_in!(Admin, client_api::renew_secret, admin)),
    api(Delete, "/api/v1/admin/clients/{id}/secret", signed_in!(Admin, client_api::drop_old_secret, admin)),
    api(Get, "/api/v1/admin/scopes", signed_in!(Admin, client_api::list_scopes, admin)),
    api(Put, "/api/v1/admin/scopes/{name}", signed_in!(Admin, client_api::put_scope, admin)),
    api(Delete, "/api/v1/admin/scopes/{name}", signed_in!(Admin, client_api::remove_scope, admin)),
    api(
        Post,
        "/api/v1/admin/registration-tokens",
        signed_in!(Admin, client_api::make_registration_token, admin),
    ),
    api(
        Delete,
        "/api/v1/admin/registration-tokens",
        signed_in!(Admin, client_api::drop_registration_tokens, admin),
    ),
    // -- what one has allowed apps
    api(Get, "/api/v1/users/me/apps", signed_in!(User, account_apps::list_apps, oidc)),
    api(Delete, "/api/v1/users/me/apps/{client}", signed_in!(User, account_apps::revoke_app, oidc)),
    api(Get, "/api/v1/users/me/consents", signed_in!(User, account_apps::list, oidc)),
    api(Delete, "/api/v1/users/me/consents/{client}", signed_in!(User, account_apps::revoke, oidc)),
    // -- OpenID Connect
    document(
        "/.well-known/openid-configuration",
        Action::Document(|app, request| oidc::discovery::metadata(&app.oidc, request)),
    ),
    document(
        "/.well-known/oauth-authorization-server",
        Action::Document(|app, request| oidc::discovery::metadata(&app.oidc, request)),
    ),
    document("/jwks.json", Action::Document(|app, request| oidc::discovery::keys(&app.oidc, request))),
    page(Get, "/oauth2/authorize", maybe!(oidc::authorize::show, oidc)),
    from_other_sites(page(Post, "/oauth2/authorize", open!(oidc::authorize::submit, oidc))),
    page(Post, "/oauth2/consent", signed_in!(Browser, oidc::authorize::consent, oidc)),
    oauth(Post, "/oauth2/token", open!(oidc::token::exchange, oidc)),
    oauth(Options, "/oauth2/token", open!(oidc::cors::preflight, oidc)),
    oauth(Get, "/oauth2/userinfo", open!(oidc::userinfo::show, oidc)),
    oauth(Post, "/oauth2/userinfo", open!(oidc::userinfo::show, oidc)),
    oauth(Options, "/oauth2/userinfo", open!(oidc::cors::preflight, oidc)),
    oauth(Post, "/oauth2/introspect", open!(oidc::inspect::introspect, oidc)),
    oauth(Post, "/oauth2/revoke", open!(oidc::inspect::revoke, oidc)),
    oauth(Options, "/oauth2/revoke", open!(oidc::cors::preflight, oidc)),
    oauth(Post, "/oauth2/par", open!(oidc::par::push, oidc)),
    oauth(Options, "/oauth2/par", open!(oidc::cors::preflight, oidc)),
    oauth_json(Post, "/oauth2/register", open!(oidc::registration::register, oidc)),
    oauth_json(Get, "/oauth2/register/{client}", open!(oidc::registration::show, oidc)),
    oauth_json(Put, "/oauth2/register/{client}", open!(oidc::registration::replace, oidc)),
    oauth_json(Delete, "/oauth2/register/{client}", open!(oidc::registration::remove, oidc)),
    oauth(Post, "/oauth2/device_authorization", open!(oidc::device::start, oidc)),
    page(Get, "/device", signed_in!(Browser, oidc::device::show, oidc)),
    page(Post, "/device", signed_in!(Browser, oidc::device::submit, oidc)),
    page(Get, "/logout", maybe!(oidc::logout::show, oidc)),
    from_other_sites(page(Post, "/logout", maybe!(oidc::logout::submit, oidc))),
    // -- the same where Authelia has it
    page(Get, "/api/oidc/authorization", maybe!(oidc::authorize::show, oidc)),
    from_other_sites(page(Post, "/api/oidc/authorization", open!(oidc::authorize::submit, oidc))),
    oauth(Post, "/api/oidc/token", open!(oidc::token::exchange, oidc)),
    oauth(Options, "/api/oidc/token", open!(oidc::cors::preflight, oidc)),
    oauth(Get, "/api/oidc/userinfo", open!(oidc::userinfo::show, oidc)),
    oauth(Post, "/api/oidc/userinfo", open!(oidc::userinfo::show, oidc)),
    oauth(Options, "/api/oidc/userinfo", open!(oidc::cors::preflight, oidc)),
    oauth(Post, "/api/oidc/introspection", open!(oidc::inspect::introspect, oidc)),
    oauth(Post, "/api/oidc/revocation", open!(oidc::inspect::revoke, oidc)),
    oauth(Post, "/api/oidc/pushed-authorization-request", open!(oidc::par::push, oidc)),
    oauth(Post, "/api/oidc/device-authorization", open!(oidc::device::start, oidc)),
    // -- how a sign-in gets to another domain; at the portal of that domain alone
    page(Get, PORTAL_PATH, Action::Open(|app, request| Box::pin(arrive(app, request)))),
    limited_inside(api(Get, "/api/health", open!(authelia_api::health, sign_in))),
    limited_inside(api(Get, "/api/state", maybe!(authelia_api::state, sign_in))),
    limited_inside(api(Get, "/api/configuration", open!(authelia_api::configuration, sign_in))),
    from_own_pages(api(
        Post,
        "/api/checks/safe-redirection",
        maybe!(authelia_api::safe_redirection, sign_in),
    )),
    in_turn(from_own_pages(limited_inside(api(
        Post,
        "/api/firstfactor",
        open!(authelia_api::first_factor, sign_in),
    )))),
    in_turn(from_own_pages(limited_inside(api(
        Post,
        "/api/secondfactor/totp",
        open!(authelia_api::second_factor_totp, sign_in),
    )))),
    from_own_pages(api(Post, "/api/logout", maybe!(authelia_api::logout, sign_in))),
    // -- reverse proxies
    proxy(Get, "/api/authz/auth-request", Endpoint::new(Dialect::AuthRequest)),
    proxy(Get, "/api/authz/auth-request/basic", Endpoint::basic(Dialect::AuthRequest)),
    proxy(Get, "/api/authz/forward-auth", Endpoint::new(Dialect::ForwardAuth)),
    proxy(Get, "/api/authz/forward-auth/basic", Endpoint::basic(Dialect::ForwardAuth)),
    proxy(Any, "/api/authz/ext-authz", Endpoint::new(Dialect::ExtAuthz)),
    proxy(Any, "/api/authz/ext-authz/", Endpoint::new(Dialect::ExtAuthz)),
    proxy(Any, "/api/authz/ext-authz/{*path}", Endpoint::new(Dialect::ExtAuthz)),
    proxy(Any, "/api/verify", Endpoint::new(Dialect::Legacy)),
    proxy(Any, "/api/verify/", Endpoint::new(Dialect::Legacy)),
    proxy(Any, "/api/verify/{*path}", Endpoint::new(Dialect::Legacy)),
    // -- operations
    limited_inside(api(
        Get,
        "/healthz",
        Action::Open(|_, _| Box::pin(ready(Ok(Reply::json(StatusCode::OK, &Health::alive()))))),
    )),
    limited_inside(api(
        Get,
        "/readyz",
        Action::Open(|app, _| {
            let health = app.health();
            Box::pin(ready(Ok(Reply::json(health.code(), &health))))
        }),
    )),
];
