/// The description of an API (OpenAPI 3.1), made from the declarations of its routes.
///
/// Inputs, outputs and middleware describe themselves to an ``Operation``; ``document(of:title:version:)`` puts all of them
/// together.
public enum OpenAPI {}
