//! Actions whose payloads and results are models of pydantic, a package of a virtual environment with parts in C.

use harness::node::Options;
use harness::stage::Stage;
use harness::tools;
use serde_json::{Value, json};

const ORDERS: &str = r#"
import datetime, decimal, enum, typing
import pydantic
from callboard import action

class Unit(enum.Enum):
    PIECE = "piece"
    KILO = "kilo"

class Item(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")
    name: typing.Annotated[str, pydantic.Field(min_length=1, max_length=20)]
    count: pydantic.PositiveInt
    price: decimal.Decimal
    unit: Unit = Unit.PIECE

class Order(pydantic.BaseModel):
    items: list[Item]
    day: datetime.date

    @pydantic.field_validator("items")
    @classmethod
    def some(cls, items):
        if not items:
            raise ValueError("an order of nothing")
        return items

class Bill(pydantic.BaseModel):
    total: decimal.Decimal
    day: datetime.date
    units: list[Unit]

@action("order.bill")
def bill(payload: Order) -> Bill:
    assert isinstance(payload, Order) and isinstance(payload.items[0], Item)
    total = sum(item.count * item.price for item in payload.items)
    return Bill(total=total, day=payload.day, units=[item.unit for item in payload.items])

@action("order.wrong")
def wrong(payload: Order) -> Bill:
    return {"total": "much", "day": payload.day, "units": []}
"#;

fn options() -> Options {
    let environment = tools::python();
    let environment = environment.parent().and_then(|bin| bin.parent()).expect("an environment");
    let environment = environment.canonicalize().expect("a folder");
    let lines = format!(
        "[actions]\nmodules = [\"orders.py\"]\nvenv = \"{}\"\npreload = [\"pydantic\"]\n",
        environment.display()
    );
    Options::new().file("orders.py", ORDERS).configured(&lines)
}

fn order(items: &Value) -> Value {
    json!({"items": items, "day": "2026-02-28"})
}

#[tokio::test]
async fn a_payload_is_made_into_its_model_and_a_result_into_plain_values() {
    let stage = Stage::with(options()).await;
    let items = json!([
        {"name": "tea", "count": 2, "price": "1.25"},
        {"name": "rice", "count": 1, "price": "3", "unit": "kilo"},
    ]);
    let bill = stage.client.call("order.bill", &order(&items)).await;
    assert_eq!(bill.data(), &json!({"total": "5.50", "day": "2026-02-28", "units": ["piece", "kilo"]}));
    for (payload, path) in [
        (json!({"items": [], "day": "2026-02-28"}), "payload.items"),
        (
            json!({"items": [{"name": "", "count": 1, "price": "1"}], "day": "2026-02-28"}),
            "payload.items[0].name",
        ),
        (order(&json!([{"name": "x", "count": 0, "price": "1"}])), "payload.items[0].count"),
        (order(&json!([{"name": "x", "count": 1, "price": "1", "more": 1}])), "payload.items[0].more"),
        (json!({"items": [{"name": "x", "count": 1, "price": "1"}], "day": "2026-02-30"}), "payload.day"),
    ] {
        let refused = stage.client.call("order.bill", &payload).await;
        assert_eq!(refused.complaint(), ("REQUEST_INVALID", path), "{payload}");
    }
    let wrong = stage.client.call("order.wrong", &order(&items)).await;
    assert_eq!(wrong.complaint(), ("PY_INVALID_RESPONSE", "result.total"));
    stage.close();
}

#[tokio::test]
async fn the_schema_of_a_model_is_what_services_tell() {
    let stage = Stage::with(options()).await;
    let reply = stage.client.nats().request("$SRV.INFO.callboard", "".into()).await.expect("a service");
    let info: Value = serde_json::from_slice(&reply.payload).expect("JSON");
    let endpoints = info["endpoints"].as_array().expect("endpoints");
    let found = endpoints.iter().find(|endpoint| endpoint["subject"] == "order.bill").expect("the action");
    let input = found["metadata"]["inputSchema"].as_str().expect("a text");
    let input: Value = serde_json::from_str(input).expect("a schema");
    assert_eq!(input["required"], json!(["items", "day"]));
    assert_eq!(input["$defs"]["Item"]["properties"]["count"]["exclusiveMinimum"], json!(0));
    stage.close();
}
