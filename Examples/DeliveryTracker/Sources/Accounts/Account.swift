import ApusCore
import FoundationEssentials

/// A user who can log in.
struct Account: Identifiable, Sendable {
    typealias ID = Identifier<Account>

    enum Role: String, Codable, Sendable, CaseIterable {
        /// Places orders and follows their own.
        case customer
        /// Delivers orders.
        case driver
        /// Watches all orders and drivers. Cannot be registered through the API.
        case dispatcher
    }

    let id: ID
    let email: String
    let name: String
    let role: Role
    var passwordHash: String
    let createdAt: Date
}
