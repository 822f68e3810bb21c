//! `/api/v1/openapi.json`: what this server's API offers (OpenAPI 3.1), made of the table of routes.

use serde_json::{Map, Value, json};

use super::routes::{Operation, ROUTES, Route};

/// The description.
pub(super) fn describe(version: &str) -> Value {
    let api = ROUTES.iter().filter(|route| route.template.starts_with("/api/v1/"));
    let paths: Map<String, Value> = api.map(|route| (route.template.to_owned(), path(route))).collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Standpipe",
            "version": version,
            "description": "Errors are one sentence of plain text that names the fix.",
        },
        "paths": paths,
    })
}

fn path(route: &Route) -> Value {
    let operations: Map<String, Value> = route
        .operations
        .iter()
        .map(|operation| (operation.method.to_owned(), described(route.template, operation)))
        .collect();
    Value::Object(operations)
}

fn described(template: &str, operation: &Operation) -> Value {
    let in_path = template.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(name, _)| name);
    let in_path = in_path
        .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}));
    let in_query = operation.parameters.iter().map(|(name, required, description)| {
        json!({
            "name": name, "in": "query", "required": required, "description": description,
            "schema": {"type": "string"},
        })
    });
    let parameters: Vec<Value> = in_path.into_iter().chain(in_query).collect();
    let mut described = json!({
        "summary": operation.summary,
        "parameters": parameters,
        "responses": {
            "2XX": {"description": "Done", "content": {operation.answer: {}}},
            "default": {"description": "One sentence that names the fix", "content": {"text/plain": {}}},
        },
    });
    if !operation.content.is_empty() {
        let members: Map<String, Value> = operation
            .content
            .iter()
            .map(|(name, description)| {
                let kind = if *name == "dry_run" { "boolean" } else { "string" };
                ((*name).to_owned(), json!({"type": kind, "description": description}))
            })
            .collect();
        let schema = json!({"type": "object", "properties": members, "additionalProperties": false});
        described["requestBody"] =
            json!({"required": true, "content": {"application/json": {"schema": schema}}});
    }
    described
}
