//! The declarations as a model: types with their properties, and what actions and functions give.

use std::collections::HashMap;
use std::sync::OnceLock;

use serde::Deserialize;

/// Types that the excerpt names as bases but leaves out, with what Graph declares in them.
const LEFT_OUT: &[(&str, &str)] = &[
    (
        "microsoft.graph.directoryObject",
        r#"{"kind":"entity","base":"microsoft.graph.entity","properties":{"deletedDateTime":{"type":"Edm.DateTimeOffset"}}}"#,
    ),
    (
        "microsoft.graph.singleValueLegacyExtendedProperty",
        r#"{"kind":"entity","base":"microsoft.graph.entity","properties":{"value":{"type":"Edm.String"}}}"#,
    ),
    (
        "microsoft.graph.multiValueLegacyExtendedProperty",
        r#"{"kind":"entity","base":"microsoft.graph.entity","properties":{"value":{"type":"Edm.String","collection":true}}}"#,
    ),
];

/// The declarations of Graph v1.0, as far as the tenant needs them.
#[derive(Debug, Deserialize)]
pub struct Csdl {
    actions: Vec<Operation>,
    functions: Vec<Operation>,
    types: HashMap<String, Type>,
}

/// An entity type, a complex type or an enumeration.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Type {
    base: Option<String>,
    #[serde(default, rename = "abstract")]
    pub(super) is_abstract: bool,
    #[serde(default)]
    pub(super) flags: bool,
    /// An enumeration's names.
    #[serde(default)]
    pub(super) members: HashMap<String, String>,
    #[serde(default)]
    properties: HashMap<String, Property>,
    #[serde(default)]
    navigation: HashMap<String, Property>,
}

/// A property, or a navigation to other things.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Property {
    #[serde(rename = "type")]
    pub(super) type_name: String,
    #[serde(default)]
    pub(super) collection: bool,
    pub(super) nullable: Option<bool>,
}

/// An action or a function.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Operation {
    name: String,
    binding_type: String,
    binding_collection: bool,
    returns: Option<Property>,
}

impl Csdl {
    /// The declarations, read once.
    ///
    /// # Panics
    /// When the data that was compiled in is not what it should be.
    #[must_use]
    pub fn v1() -> &'static Self {
        static READ: OnceLock<Csdl> = OnceLock::new();
        READ.get_or_init(|| {
            let read = serde_json::from_str::<Self>(include_str!("../../data/csdl-v1.0-excerpt.json"));
            let mut csdl = match read {
                Ok(csdl) => csdl,
                Err(error) => panic!("data/csdl-v1.0-excerpt.json: {error}"),
            };
            for (name, text) in LEFT_OUT {
                match serde_json::from_str(text) {
                    Ok(left_out) => csdl.types.entry((*name).to_owned()).or_insert(left_out),
                    Err(error) => panic!("{name}: {error}"),
                };
            }
            csdl
        })
    }

    pub(super) fn find(&self, type_name: &str) -> Option<&Type> {
        self.types.get(type_name)
    }

    /// The type and all it inherits from, nearest first.
    fn line<'a>(&'a self, type_name: &str) -> impl Iterator<Item = (&'a str, &'a Type)> + use<'a> {
        std::iter::successors(self.types.get_key_value(type_name), |(_, one)| self.types.get_key_value(one.base.as_ref()?))
            .map(|(name, one)| (name.as_str(), one))
    }

    /// Whether the one is the other or derives from it.
    pub(super) fn is_a(&self, type_name: &str, base: &str) -> bool {
        self.line(type_name).any(|(name, _)| name == base)
    }

    /// A property or navigation by its exact name, inherited ones included.
    pub(super) fn member(&self, type_name: &str, name: &str) -> Option<&Property> {
        self.line(type_name).find_map(|(_, one)| one.properties.get(name).or_else(|| one.navigation.get(name)))
    }

    /// The same by a name from an address, whose case does not count.
    pub(super) fn segment(&self, type_name: &str, name: &str) -> Option<&Property> {
        let same = |(known, _): &(&String, &Property)| known.eq_ignore_ascii_case(name);
        self.line(type_name).find_map(|(_, one)| one.properties.iter().chain(&one.navigation).find(same).map(|(_, property)| property))
    }

    /// What an action or function gives that is bound to this type (or to a collection of it); the inner `None` is nothing.
    pub(super) fn operation(&self, bound_to: &str, collection: bool, name: &str) -> Option<Option<&Property>> {
        let fits = |operation: &&Operation| {
            operation.binding_collection == collection
                && operation.name.eq_ignore_ascii_case(name)
                && self.is_a(bound_to, &operation.binding_type)
        };
        self.actions.iter().chain(&self.functions).find(fits).map(|operation| operation.returns.as_ref())
    }

    /// A type's name as the declarations write it, from an `@odata.type` or a cast in an address.
    pub(super) fn full_name(&self, name: &str) -> Option<&str> {
        let name = name.trim_start_matches('#');
        self.types.keys().find(|key| key.eq_ignore_ascii_case(name)).map(String::as_str)
    }

    /// Whether a type of this short name declares this property, inherited ones included.
    #[must_use]
    pub fn declares(&self, type_name: &str, property: &str) -> bool {
        self.member(&format!("microsoft.graph.{type_name}"), property).is_some()
    }

    /// Whether a type of this full name declares this as a property, not as a navigation to other things.
    pub(crate) fn has_property(&self, type_name: &str, property: &str) -> bool {
        self.line(type_name).any(|(_, one)| one.properties.contains_key(property))
    }

    /// What a declared property holds where there is nothing: `null`, or no rows.
    pub(crate) fn nothing(&self, type_name: &str, property: &str) -> serde_json::Value {
        let collection = self.member(type_name, property).is_some_and(|declared| declared.collection);
        if collection { serde_json::Value::Array(Vec::new()) } else { serde_json::Value::Null }
    }

    /// How a property of a type of this short name is declared: `Edm.String`, `Edm.String[]`, `microsoft.graph.recipient[]`.
    #[must_use]
    pub fn declared(&self, type_name: &str, property: &str) -> Option<String> {
        let found = self.member(&format!("microsoft.graph.{type_name}"), property)?;
        Some(format!("{}{}", found.type_name, if found.collection { "[]" } else { "" }))
    }

    /// Whether this is the full name of an enumeration.
    #[must_use]
    pub fn is_enum(&self, type_name: &str) -> bool {
        self.find(type_name).is_some_and(|one| !one.members.is_empty())
    }
}
