//! Making structs. `struct(…)` itself is typed by the binder, which knows the names its fields get.

use super::{ANY, Call, Function, Typed};
use crate::schema::{DataType, Field};

pub(super) fn functions() -> Vec<Function> {
    vec![
        Function::custom(&["struct"], 1..=ANY, |call| {
            call.fail("typed by the binder")
        }),
        Function::rewrite(&["named_struct"], 0..=ANY, named_struct),
    ]
}

fn named_struct(mut call: Call<'_, '_>) -> Typed {
    if call.len() % 2 == 1 || call.len() == 0 {
        return call.fail("named_struct takes names and values in turn");
    }
    let mut fields = Vec::new();
    for index in (0..call.len()).step_by(2) {
        let name = call.constant_text(index)?;
        fields.push(Field::new(name, call.data_type(index + 1).clone()));
    }
    let mut position = 0;
    call.arguments.retain(|_| {
        position += 1;
        position % 2 == 0
    });
    call.function = "struct";
    call.returns(DataType::Struct(fields))
}
