import Apus

struct AccountsModule: Module {
    func configure(_ app: inout AppBuilder) throws {
        let secret = app.settings.secret(
            "auth.secret", minimumBytes: 32, developmentDefault: "a secret that everybody can read in the source")
        let lifetime = app.settings.duration("auth.token-lifetime", default: .seconds(12 * 3600))
        let cost = app.settings.int("auth.password-cost", default: 17, in: 4...22)

        let perMinute = app.settings.int("accounts.per-minute", default: 30, in: 1...100_000)

        app.migrations.add(CreateAccounts.self)
        app.provide(JWT.KeySet.self) {
            try JWT.KeySet(
                issuer: "delivery-tracker", audience: "delivery-tracker", signing: .hs256(id: "1", secret: secret),
                clock: $0.resolve())
        }
        app.provide((any PasswordHasher).self) { _ in ScryptPasswordHasher(cost: .init(log2Rounds: cost)) }
        app.provide((any AccountRepository).self) { SQLAccountRepository(database: try $0.resolve()) }
        app.provide(AccountService.self) {
            AccountService(
                accounts: try $0.resolve(), passwords: try $0.resolve(), signer: try $0.resolve(JWT.KeySet.self),
                tokenLifetime: lifetime, clock: try $0.resolve())
        }
        app.middleware.add { BearerAuthentication(try $0.resolve(JWT.KeySet.self), clock: try $0.resolve()) }
        app.routes { routes, container in
            AccountRoutes(accounts: try container.resolve()).add(
                to: routes, limit: .rateLimit(.perAddress, perMinute, per: .seconds(60)))
        }
    }
}
