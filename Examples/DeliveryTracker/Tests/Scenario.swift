import Apus
import ApusTesting
import Geography
import Testing

@testable import DeliveryTracker

/// The steps of a delivery, as performed by clients: in memory, over sockets and against the real binary alike.
struct Scenario: Sendable {
    let client: TestClient
    /// Signs webhook deliveries in place of the payment provider.
    let signature: PaymentSignature

    struct Token: Decodable { let token: String }
    struct AccountResponse: Decodable { let id: Account.ID }

    static let secret = "whsec_everybody_can_read_this"
    static let idempotencyKey = HTTPField.Name("Idempotency-Key")!
    static let signatureField = HTTPField.Name("Payment-Signature")!

    init(_ client: TestClient, clock: any WallClock = SystemClock()) {
        self.client = client
        signature = PaymentSignature(secret: Secret(Self.secret), clock: clock)
    }

    /// Registers an account, logs in, and returns a client with the token.
    func register(_ role: String) async throws -> TestClient {
        let email = "\(role)-\(Identifier<Account>())@example.org"
        let form = ["email": email, "name": role, "password": "a long password", "role": role]
        let registered = try await client.post("/v1/accounts", json: form)
        try #require(registered.status == .created, "\(registered.text)")
        let session = try await client.post("/v1/sessions", json: ["email": email, "password": "a long password"])
        try #require(session.status == .ok, "\(session.text)")
        return client.bearer(try session.json(Token.self).token)
    }

    static let tea = PlaceOrder(
        item: "Tea", pickup: Place(wrapping: 38.7369, -9.1427),
        dropoff: Place(wrapping: 38.7400, -9.1500))

    func place(_ customer: TestClient, key: String? = nil) async throws -> PlacedOrder {
        var headers = HTTPFields()
        headers[Self.idempotencyKey] = key
        return try await customer.call(OrderEndpoints.place, Self.tea, headers: headers).value
    }

    func event(_ placed: PlacedOrder, id: String? = nil) throws -> ByteBuffer {
        try JSONCoding.encode(
            PaymentEvent(
                id: id ?? "evt_\(placed.payment.id)", type: "payment.succeeded",
                data: .init(
                    payment: placed.payment.id, amount: placed.payment.price.amount,
                    currency: placed.payment.price.currency)))
    }

    func deliver(webhook body: ByteBuffer, signature field: String? = nil) async throws -> ClientResponse {
        let signed = field ?? signature.sign(body.readableBytesView)
        return try await client.send(.post, "/v1/payments/webhook", headers: [Self.signatureField: signed], body: body)
    }

    func placeAndPay(_ customer: TestClient) async throws -> OrderView {
        let placed = try await place(customer)
        let response = try await deliver(webhook: event(placed))
        try #require(response.status == .ok, "\(response.text)")
        return placed.order
    }

    /// A message of the live feed, as decoded by a client.
    struct Message: Decodable, Sendable {
        let type: String
        let order: OrderView?
        let orders: [OrderView]?
        let position: PositionView?
        let positions: [PositionView]?
        let reason: FixRejection?
    }
}

extension TestWebSocket {
    /// Returns the next change of an order or a position. A snapshot may come at any time, when messages of other processes
    /// may have been lost.
    func receiveChange() async throws -> Scenario.Message? {
        while let message = try await receiveJSON(Scenario.Message.self) {
            if message.type != "snapshot" { return message }
        }
        return nil
    }
}
