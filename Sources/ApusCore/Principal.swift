/// The authenticated caller of a request, such as a customer, a driver or another service.
public protocol Principal: Sendable {
    /// The identity of the principal, unique across all kinds of principals. Used as the key of rate limits and in log
    /// entries.
    var subject: String { get }
}
