//! A documented call: its parameters, its body and its answers. Called by `calls`, which lists them all, and by
//! [`openapi`](super).

use serde_json::{Value, json};
use utoipa::openapi::{
    Content, HttpMethod, Ref, Required,
    path::{Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn},
    request_body::{RequestBody, RequestBodyBuilder},
    response::{Response, ResponseBuilder, ResponsesBuilder},
    security::SecurityRequirement,
};

use super::shapes::{self, Shape};
use crate::base::error::Error;

/// Who may call.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Caller {
    Anybody,
    /// A signed-in person.
    Person,
    /// The server of a protected app, with its secret.
    AppServer,
}

/// A call under construction.
pub(super) struct Call {
    pub method: HttpMethod,
    pub path: &'static str,
    caller: Caller,
    summary: &'static str,
    parameters: Vec<Parameter>,
    body: Option<RequestBody>,
    answers: Vec<(u16, Response)>,
    problems: Vec<Error>,
}

impl Call {
    pub(super) fn new(method: HttpMethod, path: &'static str, caller: Caller, summary: &'static str) -> Self {
        let named = path.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0));
        let of_path = |name| {
            ParameterBuilder::new()
                .name(name)
                .parameter_in(ParameterIn::Path)
                .required(Required::True)
                .schema(Some(shapes::text()))
        };
        let mut problems = match caller {
            Caller::Anybody => Vec::new(),
            Caller::Person => vec![Error::LoginRequired],
            Caller::AppServer => vec![Error::InvalidCredentials],
        };
        if method != HttpMethod::Get {
            problems.push(cross_origin());
        }
        let parameters = named.map(|name| of_path(name).build()).collect();
        Self { method, path, caller, summary, parameters, body: None, answers: Vec::new(), problems }
    }

    /// An optional parameter of the query.
    pub(super) fn query(mut self, name: &str, shape: Shape, description: &str) -> Self {
        let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Query).required(Required::False);
        self.parameters.push(parameter.schema(Some(shape)).description(Some(description)).build());
        self
    }

    /// A JSON body.
    pub(super) fn takes(mut self, shape: Shape, example: Value) -> Self {
        let content = content_of(shape, example);
        self.body =
            Some(RequestBodyBuilder::new().content("application/json", content).required(Some(Required::True)).build());
        self.problems.extend([Error::Invalid("…".into()), Error::TooLarge, Error::UnsupportedMediaType("JSON")]);
        self
    }

    /// A JSON answer.
    pub(super) fn answers(mut self, status: u16, description: &str, shape: Shape, example: Value) -> Self {
        let response =
            ResponseBuilder::new().description(description).content("application/json", content_of(shape, example));
        self.answers.push((status, response.build()));
        self
    }

    /// An answer without a body.
    pub(super) fn answers_nothing(mut self, description: &str) -> Self {
        self.answers.push((204, Response::new(description)));
        self
    }

    /// A stream of server-sent events.
    pub(super) fn streams(mut self, description: &str, example: &str) -> Self {
        let content = content_of(shapes::text(), json!(example));
        let response = ResponseBuilder::new().description(description).content("text/event-stream", content);
        self.answers.push((200, response.build()));
        self
    }

    pub(super) fn fails(mut self, problems: impl IntoIterator<Item = Error>) -> Self {
        self.problems.extend(problems);
        self
    }

    pub(super) fn into_operation(self) -> Operation {
        let mut responses = ResponsesBuilder::new();
        for (status, answer) in self.answers {
            responses = responses.response(status.to_string(), answer);
        }
        for (status, problem) in by_status(&self.problems) {
            responses = responses.response(status.to_string(), problem);
        }
        responses = responses
            .response("429", Ref::from_response_name("TooManyAttempts"))
            .response("503", Ref::from_response_name("Unavailable"));
        let security = match self.caller {
            Caller::Anybody => SecurityRequirement::default(),
            Caller::Person => SecurityRequirement::new("session", [""; 0]),
            Caller::AppServer => SecurityRequirement::new("appSecret", [""; 0]),
        };
        OperationBuilder::new()
            .summary(Some(self.summary))
            .parameters(Some(self.parameters).filter(|all| !all.is_empty()))
            .request_body(self.body)
            .responses(responses.build())
            .security(security)
            .build()
    }
}

/// A problem document as an answer.
pub(super) fn problem(errors: &[&Error]) -> Response {
    let slugs: Vec<&str> = errors.iter().map(|error| error.slug()).collect();
    let example = errors.first().map_or(Value::Null, |error| example_of(error));
    let content = content_of(shapes::to("Problem"), example);
    ResponseBuilder::new().description(slugs.join(" or ")).content("application/problem+json", content).build()
}

fn example_of(error: &Error) -> Value {
    use actix_web::ResponseError as _;
    let status = error.status_code();
    json!({
        "type": error.slug(),
        "title": status.canonical_reason(),
        "status": status.as_u16(),
        "detail": error.detail(),
        "requestId": "req_Ck7f2b0n1QqLw0dJXn3J6A",
    })
}

fn by_status(errors: &[Error]) -> Vec<(u16, Response)> {
    use actix_web::ResponseError as _;
    let mut statuses: Vec<u16> = errors.iter().map(|error| error.status_code().as_u16()).collect();
    statuses.sort_unstable();
    statuses.dedup();
    let of = |status: u16| errors.iter().filter(|error| error.status_code().as_u16() == status).collect::<Vec<_>>();
    statuses.into_iter().map(|status| (status, problem(&of(status)))).collect()
}

pub(super) fn cross_origin() -> Error {
    Error::CrossOrigin(crate::base::error::Origins {
        from: Some("https://elsewhere.example".to_owned()),
        public: "https://id.example.com".to_owned(),
        is_ours: false,
        is_for_app: false,
    })
}

fn content_of(shape: Shape, example: Value) -> Content {
    utoipa::openapi::ContentBuilder::new().schema(Some(shape)).example(Some(example)).build()
}
