import Apus

struct AccountRoutes: Sendable {
    let accounts: AccountService

    func add(to routes: Routes) {
        routes.group("v1", .rateLimit(.perAddress, 30, per: .seconds(60))) { routes in
            routes.post("accounts", Body(Registration.self), handler: register)
            routes.post("sessions", Body(Login.self), handler: logIn)
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
    /// Dispatchers are not made from outside.
    enum Role: String, Decodable, Sendable {
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
        Rule("name", \.name, .length(1...80)),
        Rule("password", \.password, .length(10...200)),
    ]
}

struct Login: Decodable, Sendable {
    let email: String
    let password: Secret<String>
}

struct AccountView: Encodable, Sendable {
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
