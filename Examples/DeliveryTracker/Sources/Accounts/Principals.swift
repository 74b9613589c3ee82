import Apus

/// Who a token may stand for. Each is a type of its own, so that a route says by its signature who may call it.
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
        self.init(subject: account.id.description, expiresAt: expiresAt, custom: ["role": account.role.rawValue])
    }

    fileprivate func accountID(of role: Account.Role) throws -> Account.ID {
        guard custom["role"] == role.rawValue, let id = Account.ID(subject) else {
            throw AppError(.permissionDenied, "Only a \(role.rawValue) may do this.")
        }
        return id
    }
}
