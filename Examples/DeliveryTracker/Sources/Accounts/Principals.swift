import Apus

// The principals that a token can identify. Each role has its own type, so that the signature of a route states who may
// call it.

struct Customer: TokenPrincipal {
    let id: Account.ID
    var subject: String { id.description }

    init(id: Account.ID) { self.id = id }
    init(claims: JWT.Claims) throws { id = try claims.accountID(of: .customer) }
}

struct Driver: TokenPrincipal {
    let id: Account.ID
    var subject: String { id.description }

    init(id: Account.ID) { self.id = id }
    init(claims: JWT.Claims) throws { id = try claims.accountID(of: .driver) }
}

struct Dispatcher: TokenPrincipal {
    let id: Account.ID
    var subject: String { id.description }

    init(claims: JWT.Claims) throws { id = try claims.accountID(of: .dispatcher) }
}

extension JWT.Claims {
    init(_ account: Account, expiresAt: Date) {
        self.init(
            subject: account.id.description, expiresAt: expiresAt, custom: ["role": .string(account.role.rawValue)])
    }

    fileprivate func accountID(of role: Account.Role) throws -> Account.ID {
        guard custom["role"] == .string(role.rawValue), let id = Account.ID(subject) else {
            throw AppError(.permissionDenied, "This operation requires the role \"\(role.rawValue)\".")
        }
        return id
    }
}
