/// The description of an API (OpenAPI 3.1), generated from the declarations of its routes.
///
/// Inputs, outputs and middleware describe themselves in an ``Operation``; ``document(of:title:version:)`` generates the
/// document of all operations.
public enum OpenAPI {}
