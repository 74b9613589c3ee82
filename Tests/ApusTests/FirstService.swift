// The first service of the README. ReadmeTests checks that the README contains the code below the mark word for word.
// MARK: README
import Apus

struct FirstService {
    static func main() async { await app.run() }

    static let app = App("first-service") { HelloModule() }
}

struct HelloModule: Module {
    func configure(_ app: inout AppBuilder) {
        app.routes { routes in
            routes.get("hello/:name", Path("name"), Query("times", as: Int.self, default: 1)) { name, times in
                Array(repeating: "Hello, \(name)!", count: min(times, 10)).joined(separator: " ")
            }
            routes.post("sums", Body(Numbers.self)) { body in Sum(sum: body.numbers.reduce(0, &+)) }
        }
    }
}

struct Numbers: Decodable, Validatable {
    let numbers: [Int]
    static let rules: [Rule<Numbers>] = [Rule("numbers", \.numbers, .count(1...100))]
}

struct Sum: Codable, ResponseConvertible {
    let sum: Int
}
