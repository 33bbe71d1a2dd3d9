use std::fs;
use std::path::Path;

use actix_web::http::{StatusCode, header};
use actix_web::test::{TestRequest, call_service, init_service, read_body};
use actix_web::{App, HttpServer, web};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// Any file that has both a Brotli and a gzip form.
fn compressed() -> &'static Asset {
    all().iter().find(|asset| asset.brotli.is_some() && asset.gzip.is_some()).unwrap()
}

async fn ask(request: TestRequest) -> (StatusCode, header::HeaderMap, web::Bytes) {
    let app = init_service(App::new().route("/static/{tail:.*}", web::to(serve))).await;
    let response = call_service(&app, request.to_request()).await;
    let (status, headers) = (response.status(), response.headers().clone());
    (status, headers, read_body(response).await)
}

#[actix_web::test]
async fn a_file_is_served_under_its_fingerprint_to_be_kept_for_ever() {
    for asset in all() {
        let (status, headers, body) = ask(TestRequest::get().uri(asset.path)).await;
        assert_eq!(status, StatusCode::OK);
        assert_eq!(headers.get("cache-control").unwrap(), "public, max-age=31536000, immutable");
        assert_eq!(headers.get("vary").unwrap(), "Accept-Encoding");
        assert_eq!(headers.get("etag").unwrap().to_str().unwrap(), format!("\"{}\"", asset.fingerprint));
        assert_eq!(headers.get("content-type").unwrap(), asset.content_type);
        assert!(!headers.contains_key("content-encoding"));
        assert_eq!(body, asset.plain);
        assert_eq!(path(asset.name), asset.path);
        assert!(asset.path.contains(asset.fingerprint));
    }
}

#[actix_web::test]
async fn the_encoding_is_the_best_that_the_client_accepts() {
    let asset = compressed();
    for (accepted, encoding) in [
        ("gzip, deflate, br, zstd", Some("br")),
        ("gzip, deflate", Some("gzip")),
        ("br;q=0.5, gzip;q=0.9", Some("gzip")),
        ("br;q=0, gzip", Some("gzip")),
        ("BR", Some("br")),
        ("br;q=0, gzip;q=0", None),
        ("identity, br;q=0.5", None),
        ("identity;q=0.5, br", Some("br")),
        ("gzip;q=0.1", Some("gzip")),
        ("*;q=0", None),
        ("identity;q=0", None),
        ("br;q=nonsense", None),
        ("zstd", None),
        ("", None),
    ] {
        let request = TestRequest::get().uri(asset.path).insert_header(("accept-encoding", accepted));
        let (status, headers, body) = ask(request).await;
        assert_eq!(status, StatusCode::OK);
        let sent = headers.get("content-encoding").map(|value| value.to_str().unwrap());
        assert_eq!(sent, encoding, "{accepted:?}");
        let (content, tag) = match encoding {
            Some("br") => (asset.brotli.unwrap(), format!("\"{}-br\"", asset.fingerprint)),
            Some(_) => (asset.gzip.unwrap(), format!("\"{}-gzip\"", asset.fingerprint)),
            None => (asset.plain, format!("\"{}\"", asset.fingerprint)),
        };
        assert_eq!(body, content);
        assert_eq!(headers.get("etag").unwrap().to_str().unwrap(), tag);
        assert_eq!(headers.get("content-type").unwrap(), asset.content_type);
    }
}

#[actix_web::test]
async fn a_client_that_has_the_file_gets_304_without_a_body() {
    let asset = compressed();
    let tag = |suffix| format!("\"{}{suffix}\"", asset.fingerprint);
    for (accepted, known, status) in [
        ("", tag(""), 304),
        ("br", tag("-br"), 304),
        ("br", format!("\"other\", W/{}", tag("-br")), 304),
        ("br", "*".to_owned(), 304),
        ("br", tag(""), 200),
        ("gzip", "\"other\"".to_owned(), 200),
    ] {
        let request = TestRequest::get()
            .uri(asset.path)
            .insert_header(("accept-encoding", accepted))
            .insert_header(("if-none-match", known.clone()));
        let (got, headers, body) = ask(request).await;
        assert_eq!(got.as_u16(), status, "{accepted:?} {known}");
        assert_eq!(body.is_empty(), status == 304);
        assert!(["etag", "vary", "cache-control"].iter().all(|name| headers.contains_key(*name)));
    }
}

#[actix_web::test]
async fn unknown_addresses_are_404_and_other_methods_405() {
    let asset = compressed();
    let plain_name = format!("/static/{}", asset.name);
    for uri in [
        plain_name.as_str(),
        "/static/",
        "/static/missing",
        "/static/../Cargo.toml",
        "/static/css/none.0000000000.css",
        "/static/css/base.000000000.css",
        "/static/css/base.00000000000.css",
        "/static/css/base.000000000A.css",
        "/static/css/base.0000000000.js",
        "/static/css/base.0000000000",
        "/static/.0000000000",
        "/static/.0000000000.",
        "/static/css/../css/base.0000000000.css",
    ] {
        assert_eq!(ask(TestRequest::get().uri(uri)).await.0, StatusCode::NOT_FOUND, "{uri}");
    }
    assert_eq!(ask(TestRequest::post().uri(asset.path)).await.0, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(find(path("no/such/file")).map(|asset| asset.name), None);
}

#[actix_web::test]
async fn the_fingerprint_of_another_build_serves_the_current_file() {
    for asset in all() {
        let other = asset.path.replace(asset.fingerprint, "0123456789");
        let (status, headers, body) = ask(TestRequest::get().uri(&other)).await;
        assert_eq!(status, StatusCode::OK, "{other}");
        assert_eq!(headers.get("cache-control").unwrap(), "no-cache");
        assert_eq!(headers.get("etag").unwrap().to_str().unwrap(), format!("\"{}\"", asset.fingerprint));
        assert_eq!(headers.get("content-type").unwrap(), asset.content_type);
        assert_eq!(body, asset.plain);
        let known = ("if-none-match", format!("\"{}\"", asset.fingerprint));
        let (status, headers, _) = ask(TestRequest::get().uri(&other).insert_header(known)).await;
        assert_eq!(
            (status, headers.get("cache-control").unwrap().as_bytes()),
            (StatusCode::NOT_MODIFIED, &b"no-cache"[..])
        );
    }
}

#[actix_web::test]
async fn head_sends_the_length_and_no_body() {
    let asset = compressed();
    let server = HttpServer::new(|| App::new().route("/static/{tail:.*}", web::to(serve)))
        .workers(1)
        .disable_signals()
        .bind(("127.0.0.1", 0))
        .unwrap();
    let address = server.addrs()[0];
    let server = server.run();
    let handle = server.handle();
    actix_web::rt::spawn(server);
    let mut connection = tokio::net::TcpStream::connect(address).await.unwrap();
    let request =
        format!("HEAD {} HTTP/1.1\r\nHost: x\r\nAccept-Encoding: br\r\nConnection: close\r\n\r\n", asset.path);
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    let answer = answer.to_lowercase();
    assert!(answer.starts_with("http/1.1 200"), "{answer}");
    assert!(answer.contains(&format!("content-length: {}\r\n", asset.brotli.unwrap().len())), "{answer}");
    assert!(answer.contains("content-encoding: br\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");
    handle.stop(false).await;
}

#[test]
fn every_reference_in_a_file_is_served() {
    for asset in all().iter().filter(|asset| asset.name.ends_with(".js") || asset.name.ends_with(".css")) {
        let text = std::str::from_utf8(asset.plain).unwrap();
        for (at, _) in text.match_indices("/static/") {
            let reference = text[at..].split(['"', '\'', ')', '?', '#', ' ']).next().unwrap();
            assert!(reference.ends_with('/') || find(reference).is_some(), "{}: {reference}", asset.name);
        }
    }
}

#[test]
fn every_file_that_a_template_names_exists() {
    fn templates(folder: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                templates(&path, found);
            } else {
                found.push(fs::read_to_string(path).unwrap());
            }
        }
    }
    let mut found = Vec::new();
    templates(&Path::new(env!("CARGO_MANIFEST_DIR")).join("templates"), &mut found);
    for text in found {
        for (at, call) in text.match_indices(".asset(\"") {
            let name = text[at + call.len()..].split('"').next().unwrap();
            assert!(named(name).is_some(), "static/{name} does not exist");
        }
    }
}

#[test]
fn text_is_compressed_and_pictures_are_not() {
    for asset in all() {
        let is_picture = asset.content_type.starts_with("image/") && !asset.content_type.contains("svg");
        assert!(!is_picture || asset.brotli.is_none(), "{}", asset.name);
        for smaller in [asset.brotli, asset.gzip].into_iter().flatten() {
            assert!(smaller.len() < asset.plain.len());
        }
    }
    assert_eq!(compressed().gzip.unwrap()[..2], [0x1f, 0x8b], "RFC 1952, section 2.3.1");
}
