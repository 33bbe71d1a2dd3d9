//! Actix without a session, which repeats an answer that Sessile gave. The difference between this server and Sessile is
//! the work that Sessile does, not the size of its answer. Settings: PORT, ANSWER.
//!
//! ANSWER is a file: a line with the path, a line for each header, an empty line, and the body.
use actix_web::{
    App, HttpResponse, HttpServer,
    http::header::{HeaderName, HeaderValue},
    web::{self, Bytes},
};

#[derive(Clone)]
struct Answer {
    path: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
}

impl Answer {
    fn parse(file: &[u8]) -> Self {
        let end = file.windows(2).position(|pair| pair == b"\n\n").expect("an empty line after the headers");
        let head = std::str::from_utf8(&file[..end]).expect("headers in UTF-8");
        let mut lines = head.lines();
        let path = lines.next().expect("a path").to_owned();
        let header = |line: &str| {
            let (name, value) = line.split_once(": ").expect("a header");
            (HeaderName::try_from(name).unwrap(), HeaderValue::try_from(value).unwrap())
        };
        Self { path, headers: lines.map(header).collect(), body: Bytes::copy_from_slice(&file[end + 2..]) }
    }

    fn respond(&self) -> HttpResponse {
        let mut response = HttpResponse::Ok();
        for header in &self.headers {
            response.append_header(header.clone());
        }
        response.body(self.body.clone())
    }
}

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let port = std::env::var("PORT").unwrap_or("5006".into()).parse().unwrap();
    let answer = Answer::parse(&std::fs::read(std::env::var("ANSWER").expect("ANSWER"))?);
    HttpServer::new(move || {
        let answer = answer.clone();
        App::new().route(&answer.path.clone(), web::get().to(move || std::future::ready(answer.respond())))
    })
    .workers(2)
    .bind(("127.0.0.1", port))?
    .run()
    .await
}
