//! Creates accounts directly in the database, as `sessile user add` does, but with a precomputed password hash.

use sessile::{
    base::{
        db::{Conn, Db},
        keys::Keys,
    },
    records::{
        account::{self, EmailAddress, Role},
        audit::{self, Event, Kind, OPERATOR},
        instance,
    },
};

use super::{
    TestDb,
    template::{self, OWNER, Start},
};

/// Creates an account with [`PASSWORD`](super::PASSWORD) and returns its id. Also creates the database and the key file
/// if they do not exist yet.
pub fn add_user(db: &TestDb, email: &str, role: &str) -> String {
    if role == "owner" && email == OWNER && db.copy_of(Start::Owner) {
        return db.sql("SELECT id FROM accounts");
    }
    db.copy_of(Start::Schema);
    let role = Role::from_word(role).expect("a role");
    let (settings, email) = (db.settings(&[]), email.to_owned());
    // The caller may be inside a runtime, so use another thread with its own runtime.
    let adding = std::thread::spawn(move || {
        actix_web::rt::System::new().block_on(async move {
            let keys = Keys::read_or_make(&settings.key_file).unwrap();
            let db = Db::open(&settings, Some(keys.trail())).unwrap();
            db.migrate().await.unwrap();
            instance::check_keys_of_command(&db, Some(&keys)).await.unwrap();
            add(&db, &email, role).await
        })
    });
    adding.join().expect("an account")
}

async fn add(db: &Db, email: &str, role: Role) -> String {
    let new = account::New {
        email: EmailAddress::parse(email).unwrap(),
        name: "Kim Lee".into(),
        role,
        password_hash: template::password_hash().into(),
    };
    db.write(async move |conn: &mut Conn<'_>| {
        instance::lock(conn).await?;
        let account = account::create(conn, &new).await?.expect("an unused address");
        let event = Event::of(Kind::AccountCreated, &account.id).by(OPERATOR).detail(role.as_str());
        audit::record(conn, &[event]).await?;
        if role == Role::Owner {
            instance::close_setup(conn).await?;
        }
        Ok(account.id)
    })
    .await
    .unwrap()
}
