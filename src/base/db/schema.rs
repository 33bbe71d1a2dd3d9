//! The tables of both engines. Used by all queries.
//!
//! Invariant: the tables are maintained by hand, and a test compares them with the result of the migrations.

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::instant::sql::Instant;

    accounts (id) {
        id -> Text,
        email -> Text,
        email_key -> Text,
        name -> Text,
        role -> Text,
        password_hash -> Text,
        created_at -> Instant,
        password_changed_at -> Instant,
        last_login_at -> Nullable<Instant>,
        disabled_at -> Nullable<Instant>,
        revision -> BigInt,
        drafts_floor -> BigInt,
        time_zone -> Nullable<Text>,
        groups -> Text,
        search -> Text,
        deletion_asked_at -> Nullable<Instant>,
        deleted_at -> Nullable<Instant>,
        invited_at -> Nullable<Instant>,
        deletion_by -> Nullable<Text>,
        second_factors -> BigInt,
        factor_version -> BigInt,
        short_password -> Bool,
        factor_reset_at -> Nullable<Instant>,
        passkey_offered_at -> Nullable<Instant>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::instant::sql::Instant;

    nodes (id) {
        id -> Text,
        beaten_at -> Instant,
        doubt -> Nullable<Text>,
    }
}

diesel::table! {
    announcements (id) {
        id -> BigInt,
        number -> BigInt,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    account_of_email (email_key) {
        email_key -> Text,
        account_id -> Text,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    account_of_device_secret (secret_hash) {
        secret_hash -> Binary,
        account_id -> Text,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    account_of_session (session_id) {
        session_id -> Text,
        account_id -> Text,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::instant::sql::Instant;

    devices (account_id, id) {
        id -> Text,
        account_id -> Text,
        secret_hash -> Binary,
        name -> Text,
        browser -> Text,
        os -> Text,
        kind -> Text,
        installed -> Bool,
        first_seen -> Instant,
        last_seen -> Instant,
        proved_at -> Nullable<Instant>,
        acknowledged_at -> Nullable<Instant>,
        app_version -> Nullable<Text>,
        sync_noted_at -> Nullable<Instant>,
        forgotten_at -> Nullable<Instant>,
        previous_secret_hash -> Nullable<Binary>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::instant::sql::Instant;

    sessions (account_id, id) {
        id -> Text,
        secret_hash -> Binary,
        account_id -> Text,
        device_id -> Nullable<Text>,
        created_at -> Instant,
        authenticated_at -> Instant,
        last_activity -> Instant,
        expires_at -> Instant,
        absolute_expires_at -> Instant,
        ip -> Nullable<Text>,
        browser -> Text,
        os -> Text,
        kind -> Text,
        installed -> Bool,
        version -> BigInt,
        state -> Jsonb,
        data -> Text,
        ended_at -> Nullable<Instant>,
        ended_reason -> Nullable<Text>,
        ended_by -> Nullable<Text>,
        used_after_end_at -> Nullable<Instant>,
        previous_id -> Nullable<Text>,
        key_nonce -> Nullable<Text>,
        key_used_at -> Nullable<Instant>,
        login_form -> Nullable<Binary>,
        sid -> Nullable<Text>,
        amr -> Nullable<Text>,
        second_factor_at -> Nullable<Instant>,
        generation -> BigInt,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::instant::sql::Instant;

    former_keys (account_id, id) {
        account_id -> Text,
        id -> Text,
        secret_hash -> Binary,
        session_id -> Text,
        replaced_at -> Instant,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::instant::sql::Instant;

    apps (id) {
        id -> Text,
        name -> Text,
        origin -> Text,
        admits -> Text,
        identity -> Text,
        observe -> Bool,
        allow_cross_site -> Bool,
        allow_preflight -> Bool,
        public_paths -> Text,
        token_hash -> Binary,
        secret_hash -> Binary,
        created_at -> Instant,
        disabled_at -> Nullable<Instant>,
        last_used_at -> Nullable<Instant>,
        refused -> BigInt,
        require_second_factor -> Bool,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::instant::sql::Instant;

    app_grants (account_id, id) {
        account_id -> Text,
        id -> Text,
        app_id -> Text,
        sid -> Text,
        secret_hash -> Binary,
        created_at -> Instant,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::instant::sql::Instant;

    app_codes (account_id, secret_hash) {
        account_id -> Text,
        secret_hash -> Binary,
        app_id -> Text,
        sid -> Text,
        pending_hash -> Binary,
        target -> Text,
        created_at -> Instant,
        spent_at -> Nullable<Instant>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::instant::sql::Instant;

    audit (account_id, id) {
        id -> BigInt,
        at -> Instant,
        kind -> Text,
        account_id -> Text,
        actor -> Text,
        session_id -> Nullable<Text>,
        device_id -> Nullable<Text>,
        device_name -> Nullable<Text>,
        ip -> Nullable<Text>,
        detail -> Nullable<Text>,
        seq -> Nullable<BigInt>,
        ip_salt -> Nullable<Binary>,
        ip_commit -> Nullable<Binary>,
        key_id -> Nullable<Text>,
        mac -> Nullable<Binary>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::instant::sql::Instant;

    audit_repeats (account_id, kind) {
        account_id -> Text,
        kind -> Text,
        began_at -> Instant,
        recorded -> BigInt,
        held -> BigInt,
        last_at -> Nullable<Instant>,
        session_id -> Nullable<Text>,
        device_id -> Nullable<Text>,
        device_name -> Nullable<Text>,
        detail -> Nullable<Text>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::instant::sql::Instant;

    trails (account_id) {
        account_id -> Text,
        links -> BigInt,
        unchained -> BigInt,
        digest -> Nullable<Binary>,
        key_id -> Nullable<Text>,
        mac -> Nullable<Binary>,
        closed_at -> Nullable<Instant>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::instant::sql::Instant;

    trail_anchors (account_id, links) {
        account_id -> Text,
        links -> BigInt,
        digest -> Binary,
        anchor -> BigInt,
        at -> Instant,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    trail_checkpoints (account_id) {
        account_id -> Text,
        links -> BigInt,
        unchained -> BigInt,
        digest -> Binary,
        key_id -> Text,
        mac -> Binary,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::instant::sql::Instant;

    drafts (account_id, id) {
        account_id -> Text,
        id -> Text,
        text -> Text,
        version -> BigInt,
        revision -> BigInt,
        updated_at -> Instant,
        updated_on -> Text,
        conflict_of -> Nullable<Text>,
        deleted_at -> Nullable<Instant>,
        forked_at -> Nullable<BigInt>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::instant::sql::Instant;

    operations (account_id, id) {
        account_id -> Text,
        id -> Text,
        digest -> Binary,
        result -> Text,
        at -> Instant,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::instant::sql::Instant;

    instance (id) {
        id -> BigInt,
        key_fingerprint -> Nullable<Text>,
        trail_key_id -> Nullable<Text>,
        trail_mac -> Nullable<Binary>,
        history -> Nullable<Text>,
        version_floor -> BigInt,
        place -> Nullable<Text>,
        timeline -> Nullable<Text>,
        unconfirmed_at -> Nullable<Instant>,
        anchor -> BigInt,
        anchoring_until -> Nullable<Instant>,
    }
}

diesel::table! {
    session_generation (id) {
        id -> BigInt,
        number -> BigInt,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::instant::sql::Instant;

    links (account_id, token_hash) {
        account_id -> Text,
        token_hash -> Binary,
        purpose -> Text,
        about -> Nullable<Text>,
        made_by -> Text,
        made_at -> Instant,
        expires_at -> Instant,
        used_at -> Nullable<Instant>,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    account_of_link (token_hash) {
        token_hash -> Binary,
        account_id -> Text,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::instant::sql::Instant;

    hand_overs (account_id, token_hash) {
        account_id -> Text,
        token_hash -> Binary,
        sid -> Text,
        claimed_by -> Nullable<Binary>,
        number -> Nullable<BigInt>,
        confirmed_at -> Nullable<Instant>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::instant::sql::Instant;

    mails (account_id, id) {
        account_id -> Text,
        id -> Text,
        kind -> Text,
        recipient -> Text,
        detail -> Text,
        created_at -> Instant,
        due_at -> Instant,
        attempts -> BigInt,
        failed_at -> Nullable<Instant>,
        failure -> Nullable<Text>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::instant::sql::Instant;

    help_requests (account_id) {
        account_id -> Text,
        asked_at -> Instant,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::instant::sql::Instant;

    throttle_counts (subject) {
        subject -> Binary,
        failures -> BigInt,
        told -> BigInt,
        last_failed_at -> Nullable<Instant>,
        changed_at -> Instant,
        of_address -> Bool,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::instant::sql::Instant;

    throttle_tries (subject, try_id) {
        subject -> Binary,
        try_id -> Text,
        began_at -> Instant,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::instant::sql::Instant;

    totp_apps (account_id) {
        account_id -> Text,
        secret -> Binary,
        key_id -> Text,
        last_step -> BigInt,
        created_at -> Instant,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::instant::sql::Instant;

    recovery_codes (account_id, number) {
        account_id -> Text,
        number -> BigInt,
        code -> Binary,
        key_id -> Text,
        made_at -> Instant,
        used_at -> Nullable<Instant>,
        seen_at -> Nullable<Instant>,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::instant::sql::Instant;

    passkeys (account_id, id) {
        account_id -> Text,
        id -> Text,
        credential_id -> Binary,
        data -> Text,
        name -> Text,
        created_at -> Instant,
        last_used_at -> Nullable<Instant>,
        last_used_on -> Nullable<Text>,
        warned_at -> Nullable<Instant>,
        rp_id -> Text,
    }
}

diesel::table! {
    use diesel::sql_types::*;

    account_of_passkey (credential_hash) {
        credential_hash -> Binary,
        account_id -> Text,
        passkey_id -> Text,
    }
}

diesel::table! {
    use diesel::sql_types::*;
    use crate::base::instant::sql::Instant;

    spent_proofs (account_id, hash) {
        account_id -> Text,
        hash -> Binary,
        spent_at -> Instant,
    }
}

diesel::joinable!(devices -> accounts (account_id));
diesel::joinable!(sessions -> accounts (account_id));
diesel::joinable!(drafts -> accounts (account_id));
diesel::joinable!(operations -> accounts (account_id));
diesel::joinable!(trails -> accounts (account_id));
diesel::allow_tables_to_appear_in_same_query!(accounts, app_grants, devices, sessions);
diesel::allow_tables_to_appear_in_same_query!(audit, trails);
diesel::allow_tables_to_appear_in_same_query!(audit, devices);
diesel::allow_tables_to_appear_in_same_query!(accounts, instance);
diesel::allow_tables_to_appear_in_same_query!(hand_overs, links);
