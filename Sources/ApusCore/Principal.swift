/// Who makes a request, once it is known: a customer, a driver, another service.
public protocol Principal: Sendable {
    /// What tells this principal from every other, across kinds: the key of its rate limits and of its log lines.
    var subject: String { get }
}
