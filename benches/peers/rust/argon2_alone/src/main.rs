//! The upper limit for logins: verifies a password again and again and does nothing else, with the memory of each
//! thread reused as Sessile does. Prints the verifications per second. Settings: PASSWORD, HASH (a hash from Sessile's
//! database, so that the parameters are the same), THREADS, SECONDS.
use std::time::{Duration, Instant};

use argon2::{Argon2, Block, Params, password_hash::phc::PasswordHash};

fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"))
}

/// Verifies until the time is over. Returns the number of verifications.
fn verify_until(end: Instant, password: &str, hash: &str) -> u32 {
    let hash = PasswordHash::new(hash).expect("a hash");
    let (salt, known) = (hash.salt.as_ref().expect("a salt"), hash.hash.as_ref().expect("an output"));
    let params = Params::try_from(&hash).expect("parameters");
    let mut memory = vec![Block::new(); params.block_count()];
    let mut out = vec![0; known.as_bytes().len()];
    let argon2 = Argon2::from(params);
    let mut count = 0;
    while Instant::now() < end {
        argon2.hash_password_into_with_memory(password.as_bytes(), salt.as_ref(), &mut out, &mut memory).unwrap();
        assert_eq!(out, known.as_bytes(), "the wrong password");
        count += 1;
    }
    count
}

fn main() {
    let (password, hash) = (setting("PASSWORD"), setting("HASH"));
    let threads: u32 = setting("THREADS").parse().expect("a number of threads");
    let duration = Duration::from_secs_f64(setting("SECONDS").parse().expect("a number of seconds"));
    let started = Instant::now();
    let count: u32 = std::thread::scope(|scope| {
        let verify = || verify_until(started + duration, &password, &hash);
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(verify)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    println!("{:.1}", f64::from(count) / started.elapsed().as_secs_f64());
}
