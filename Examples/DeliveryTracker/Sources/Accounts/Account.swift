import ApusCore
import FoundationEssentials

/// Someone who can log in.
struct Account: Identifiable, Sendable {
    typealias ID = Identifier<Account>

    enum Role: String, Codable, Sendable, CaseIterable {
        /// Orders, and watches the orders of their own.
        case customer
        /// Delivers.
        case driver
        /// Watches everything. Cannot be registered from outside.
        case dispatcher
    }

    let id: ID
    let email: String
    let name: String
    let role: Role
    let passwordHash: String
    let createdAt: Date
}
