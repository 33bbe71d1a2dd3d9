//! Which keys of the key file encrypt the stored second factors, and the change to another key. `serve` checks the keys and
//! encrypts anew at its start; `doctor` counts.
//!
//! Invariant: a secret is replaced only if it is still the one that was read. Nodes whose first key is another one may write
//! meanwhile: what they write is encrypted anew at the next start.

use std::collections::BTreeMap;

use diesel::{BoolExpressionMethods as _, ExpressionMethods as _, QueryDsl as _, dsl::count_star};

use crate::base::{
    db::{
        Conn, Db, run,
        schema::{recovery_codes as codes, totp_apps as apps},
    },
    error::{Error, Result},
    keys::{Sealed, SealingKeys},
};

/// Secrets that are read and encrypted in one transaction.
const BATCH: i64 = 200;

/// How many secrets each key encrypts, by the key's id.
pub async fn needed(conn: &mut Conn<'_>) -> Result<BTreeMap<String, i64>> {
    let of_apps = apps::table.group_by(apps::key_id).select((apps::key_id, count_star()));
    let of_apps: Vec<(String, i64)> = run!(conn, load(of_apps))?;
    let mut needed: BTreeMap<String, i64> = of_apps.into_iter().collect();
    let of_codes = codes::table.group_by(codes::key_id).select((codes::key_id, count_star()));
    let of_codes: Vec<(String, i64)> = run!(conn, load(of_codes))?;
    for (key_id, many) in of_codes {
        *needed.entry(key_id).or_default() += many;
    }
    Ok(needed)
}

/// What is wrong if secrets need keys that are not among these. `None` as `keys` means that there is no key file.
pub fn problem(needed: &BTreeMap<String, i64>, keys: Option<&SealingKeys>) -> Option<String> {
    let is_there = |id: &str| keys.is_some_and(|keys| keys.ids().any(|own| own == id));
    let missing: Vec<String> =
        needed.iter().filter(|(id, _)| !is_there(id)).map(|(id, many)| format!("{many} with the key {id}")).collect();
    (!missing.is_empty()).then(|| {
        format!(
            "secrets of second factors are encrypted with keys that the key file (SESSILE_KEY_FILE) lacks: {}. Add the lines \
             of these keys again; if they are lost, run `sessile user reset-second-factor EMAIL` for everybody who has a \
             second factor",
            missing.join(", ")
        )
    })
}

/// Checks that the keys open every secret. Changes nothing.
///
/// # Errors
/// [`Error::Conflict`] if the key file lacks a key that a secret needs.
pub async fn check(db: &Db, keys: &SealingKeys) -> Result<()> {
    let needed = db.read(async |conn: &mut Conn<'_>| needed(conn).await).await?;
    problem(&needed, Some(keys)).map_or(Ok(()), |words| Err(Error::Conflict(words)))
}

/// Encrypts with the first key what another key encrypts. Returns how many secrets were changed. A secret that does not
/// open, because something else changed it, stays as it is.
pub async fn reseal(db: &Db, keys: &SealingKeys) -> Result<usize> {
    let mut changed = 0;
    let mut after = Some(String::new());
    while let Some(last) = after {
        let keys = keys.clone();
        let (some, next) = db.write(async move |conn: &mut Conn<'_>| apps_after(conn, &keys, &last).await).await?;
        (changed, after) = (changed + some, next);
    }
    let mut after = Some((String::new(), 0));
    while let Some(last) = after {
        let keys = keys.clone();
        let (some, next) = db.write(async move |conn: &mut Conn<'_>| codes_after(conn, &keys, &last).await).await?;
        (changed, after) = (changed + some, next);
    }
    Ok(changed)
}

/// Changes the next secrets of apps. Returns how many, and the last account unless it was the last batch.
async fn apps_after(conn: &mut Conn<'_>, keys: &SealingKeys, last: &str) -> Result<(usize, Option<String>)> {
    let older = apps::table.filter(apps::account_id.gt(last)).filter(apps::key_id.ne(keys.first_id()));
    let columns = (apps::account_id, apps::secret, apps::key_id);
    let rows: Vec<(String, Vec<u8>, String)> =
        run!(conn, load(older.order(apps::account_id).limit(BATCH).select(columns)))?;
    let next = rows.last().map(|(account_id, ..)| account_id.clone());
    let mut changed = 0;
    for (account_id, bytes, key_id) in rows {
        let was = Sealed { key_id, bytes };
        let Some(new) = sealed_anew(keys, &account_id, &was)? else { continue };
        let same = apps::table.filter(apps::account_id.eq(&account_id)).filter(apps::secret.eq(&was.bytes));
        let columns = (apps::secret.eq(&new.bytes), apps::key_id.eq(&new.key_id));
        changed += run!(conn, execute(diesel::update(same).set(columns)))?;
    }
    Ok((changed, next))
}

/// The same for recovery codes.
async fn codes_after(
    conn: &mut Conn<'_>,
    keys: &SealingKeys,
    (last, number): &(String, i64),
) -> Result<(usize, Option<(String, i64)>)> {
    let later = codes::account_id.gt(last).or(codes::account_id.eq(last).and(codes::number.gt(number)));
    let older = codes::table.filter(later).filter(codes::key_id.ne(keys.first_id()));
    let columns = (codes::account_id, codes::number, codes::code, codes::key_id);
    let order = (codes::account_id, codes::number);
    let rows: Vec<(String, i64, Vec<u8>, String)> = run!(conn, load(older.order(order).limit(BATCH).select(columns)))?;
    let next = rows.last().map(|(account_id, number, ..)| (account_id.clone(), *number));
    let mut changed = 0;
    for (account_id, number, bytes, key_id) in rows {
        let was = Sealed { key_id, bytes };
        let Some(new) = sealed_anew(keys, &account_id, &was)? else { continue };
        let own = codes::table.filter(codes::account_id.eq(&account_id)).filter(codes::number.eq(number));
        let columns = (codes::code.eq(&new.bytes), codes::key_id.eq(&new.key_id));
        changed += run!(conn, execute(diesel::update(own.filter(codes::code.eq(&was.bytes))).set(columns)))?;
    }
    Ok((changed, next))
}

/// The secret under the first key. `None` if it does not open.
fn sealed_anew(keys: &SealingKeys, account_id: &str, was: &Sealed) -> Result<Option<Sealed>> {
    match keys.open(account_id, was) {
        Ok(secret) => keys.seal(account_id, &secret).map(Some),
        Err(error) => {
            tracing::warn!(account_id, %error, "a second factor could not be encrypted anew");
            Ok(None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_key_is_named_with_what_needs_it() {
        let needed = BTreeMap::from([("one".to_owned(), 3), ("two".to_owned(), 1)]);
        let words = problem(&needed, None).unwrap();
        assert!(words.contains("3 with the key one, 1 with the key two"), "{words}");
        assert_eq!(problem(&BTreeMap::new(), None), None);
    }
}
