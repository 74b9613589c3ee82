import Apus

struct AccountRoutes: Sendable {
    let accounts: AccountService

    func add(to routes: Routes, limit: RateLimit) {
        routes.group("v1", limit) { routes in
            routes.post("accounts", Body(Registration.self), handler: register)
                .summary("Register a customer or a driver.")
                .errorResponse(.conflict, "An account with this email address already exists.")
            routes.post("sessions", Body(Login.self), handler: logIn)
                .summary("Log in.", "Returns a bearer token for the other operations.")
                .errorResponse(.unauthorized, "The email address or the password is wrong.")
        }
    }

    @Sendable func register(_ form: Registration) async throws -> Created<AccountView> {
        let account = try await accounts.register(
            email: form.email, name: form.name, password: form.password, role: form.role.role)
        return Created(AccountView(account), at: "/v1/accounts/\(account.id)")
    }

    @Sendable func logIn(_ form: Login) async throws -> Session {
        try await accounts.logIn(email: form.email, password: form.password)
    }
}

struct Registration: Decodable, Sendable, Validatable {
    /// The roles that can be registered through the API.
    enum Role: String, Decodable, Sendable, CaseIterable {
        case customer, driver

        var role: Account.Role {
            switch self {
            case .customer: .customer
            case .driver: .driver
            }
        }
    }

    let email: String
    let name: String
    let password: Secret<String>
    let role: Role

    static let rules: [Rule<Registration>] = [
        Rule("email", \.email, .email),
        Rule("name", \.name, .line(1...80)),
        Rule("password", \.password, .length(10...200)),
    ]
}

struct Login: Decodable, Sendable, Validatable {
    let email: String
    let password: Secret<String>

    static let rules: [Rule<Login>] = [
        Rule("email", \.email, .email),
        Rule("password", \.password, .length(1...200)),
    ]
}

struct AccountView: Codable, Sendable {
    let id: Account.ID
    let email: String
    let name: String
    let role: Account.Role

    init(_ account: Account) {
        id = account.id
        email = account.email
        name = account.name
        role = account.role
    }
}
